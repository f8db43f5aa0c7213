"""Faster variants of a version: int8 and float16."""
