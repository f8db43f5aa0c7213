"""The report of a version, in words and pictures."""
