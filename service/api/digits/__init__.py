"""`digits.v1.DigitsService`."""
