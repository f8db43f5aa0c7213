"""Batch jobs: files of digits in, a table of scores out, each row there exactly once."""
