"""Scorers: the model in this process, or on a server."""
