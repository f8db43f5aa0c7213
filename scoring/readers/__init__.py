"""Files of digits, found out by content, as chunks of pixels; knows of no model, no runtime and no transport."""
