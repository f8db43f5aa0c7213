"""Servers under load: `digits serve`, the bare echoes, and onnxruntime alone."""
