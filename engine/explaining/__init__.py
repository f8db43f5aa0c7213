"""Why an image gets its scores, computed from the weights with NumPy alone."""
