"""Digits and networks, drawn in the terminal or as a picture."""
