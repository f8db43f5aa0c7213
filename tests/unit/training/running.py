"""A model.onnx run by onnxruntime alone."""

from pathlib import Path

import numpy as np
import onnxruntime


def run(model: bytes | Path, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """All outputs for uint8 [N, rows*cols] by name."""
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))
