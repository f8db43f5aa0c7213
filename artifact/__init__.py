"""A model on disk, as shared by training, service and scoring."""

import os

# onnxruntime's official builds report home unless this is set before the import,
# and every user of a model imports this package first.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
