"""onnxruntime alone: images per second without a server."""

import time

from artifact.store import VersionFolder
from benchmarks.load.requests import MODEL, images
from engine.models.providers import CPU, open_session


def onnxruntime_alone(batch: int, seconds: float = 0.5, model: VersionFolder = MODEL) -> float:
    """Images a second by one thread of onnxruntime, in this process, `batch` in a run."""
    session = open_session(model.read_onnx(), (CPU, {}), threads=1)
    pixels = images(batch, model)
    session.run(["label", "scores"], {"pixels": pixels})
    runs, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        session.run(["label", "scores"], {"pixels": pixels})
        runs += 1
    return runs * batch / (time.perf_counter() - began)
