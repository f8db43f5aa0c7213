"""How the service tells what it does."""
