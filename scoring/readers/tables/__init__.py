"""Rows of tables: CSV, Parquet and JSON lines."""
