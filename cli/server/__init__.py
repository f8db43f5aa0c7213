"""How a command finds its server and authenticates to it."""
