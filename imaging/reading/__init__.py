"""Several digits in one picture: where they are, and in which order they are read."""
