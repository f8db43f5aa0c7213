"""Labels of the inputs: from a column, an array, a field, a folder or a file."""
