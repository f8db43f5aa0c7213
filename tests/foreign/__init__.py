"""Clients that are not ours, run as their users have them: each with a Python, or a toolchain, of its own."""
