"""Benchmarks and their last results: `make bench`, see README.md."""
