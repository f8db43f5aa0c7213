"""How the client reaches a server: its address, its channels, and what they may not outlive."""
