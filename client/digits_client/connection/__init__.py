"""The connection to a server: its address, its channels, and their event loops and processes."""
