"""Digits of other people than MNIST's, and real letters and signs."""
