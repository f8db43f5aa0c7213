"""Other model servers, set up by their documentation, each in its own virtual environment."""
