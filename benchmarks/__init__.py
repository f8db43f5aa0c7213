"""What is measured, how, and the last results: `make bench`, see README.md."""
