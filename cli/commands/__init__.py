"""One file for each command of `digits`."""
