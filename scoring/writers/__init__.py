"""The finished table as a file: Parquet, CSV or JSON lines."""
