"""The connection of a command to its server."""
