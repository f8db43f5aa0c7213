"""Image files: in a folder, named one by one, or in an archive."""
