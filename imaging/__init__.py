"""A picture of any kind -> the pixels of a model."""
