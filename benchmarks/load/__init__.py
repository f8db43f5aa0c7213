"""Load on a server: requests, clients, rounds and their results."""
