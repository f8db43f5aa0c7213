"""What training, service and scoring share: a model on disk, and how an image becomes its input."""

import os

# onnxruntime's official builds report home unless this is set before the import,
# and whoever opens a model comes through this package first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
