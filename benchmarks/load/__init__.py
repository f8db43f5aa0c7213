"""Load on a server: requests, clients, rounds, and what they measure."""
