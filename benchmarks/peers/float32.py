"""The same classifier as skl2onnx converts it by default: float32 input, no scaling inside."""

from pathlib import Path

from artifact.names import INPUT
from benchmarks.load.requests import MODEL
from training.export.skops_file import read_fitted


def write_default_float32(path: Path) -> Path:
    """Convert `model.skops`. `zipmap` is off, because a list of dictionaries is not a tensor."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    classifier = read_fitted(MODEL.path / "model.skops")
    model = to_onnx(
        classifier,
        initial_types=[(INPUT, FloatTensorType([None, classifier.n_features_in_]))],
        options={id(classifier): {"zipmap": False}},
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(model.SerializeToString())
    return path
