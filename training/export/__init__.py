"""Fitted classifiers -> versions in the model repository."""
