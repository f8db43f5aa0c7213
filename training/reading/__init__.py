"""Fits how Read divides lines of digits."""
