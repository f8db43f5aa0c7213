"""The command line; holds no logic."""
