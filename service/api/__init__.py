"""The RPCs as values; knows nothing of any transport."""
