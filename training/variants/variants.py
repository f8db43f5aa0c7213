"""Makes faster variants of a version from its model.onnx, compares them with it, and writes them beside it."""

import tempfile
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from artifact.card import CARD_KEY, Card, CardError
from artifact.names import INPUT, LABEL, SCORES, main_outputs
from artifact.store import LayoutError, VersionFolder
from training.data.dataset import Part
from training.data.datasets import SHAPES, load
from training.data.images import image_folder, read_images
from training.evaluate.calibration import evaluate_calibration
from training.evaluate.evaluate import evaluate
from training.export.checks import ExportError, class_positions
from training.export.import_classifier import data_sha256, read_npz
from training.variants.fp16 import build_fp16
from training.variants.int8 import build_int8

NumberFormat = Literal["int8", "fp16"]

TOLERANCE: dict[NumberFormat, float] = {"int8": 0.1, "fp16": 0.01}
"""Largest allowed difference of a variant's score from the version's, on any of its execution providers."""
MAX_ACCURACY_LOSS = 0.0005
"""Largest allowed loss of accuracy, 0..1."""

# The execution providers of a variant; its card states a tolerance for each. onnxruntime has no CUDA kernel for the
# product of uint8 and int8 matrices.
_PROVIDERS: dict[NumberFormat, tuple[str, ...]] = {
    "int8": ("CPUExecutionProvider",),
    "fp16": ("CPUExecutionProvider", "CUDAExecutionProvider"),
}
_RUN_ROWS = 500


def make_variant(folder: VersionFolder, kind: NumberFormat, learned: NDArray[np.uint8], test: Part) -> VersionFolder:
    """Write `model.<kind>.onnx` with its own card into the version's folder; returns the variant's folder.

    `learned` uint8 [N, rows*cols] are the images for the ranges of hidden layers, best the training images. `test`
    is the test data; its labels are positions of classes. Raises `ExportError` if a score differs by more than
    `TOLERANCE`, if the accuracy is lower by more than `MAX_ACCURACY_LOSS`, or if the version cannot be read.
    """
    model, card = read_version(folder)
    if test.pixels.shape[1] != card.features or learned.shape[1] != card.features:
        raise ExportError(f"{folder.path} takes {card.features} pixels, and the data has {test.pixels.shape[1]}")
    plain = _Runner(model)
    truth = plain.run(test.pixels, list(main_outputs(card)))
    variant_card = replace(card, variant=kind, tolerance=dict.fromkeys(_PROVIDERS[kind], TOLERANCE[kind]))
    if kind == "int8":
        ranges = plain.ranges(learned, card.hidden_names)

        def build(own: Card) -> bytes:
            return build_int8(model, card, own, ranges)
    else:

        def build(own: Card) -> bytes:
            return build_fp16(model, card, own)

    made = _evaluate(build, variant_card, truth, test)
    there = replace(folder, variant=kind)
    try:
        _write(there.onnx, made)
    except OSError as error:
        raise ExportError(f"{there.onnx} cannot be written: {error.strerror}") from None
    return there


def _write(file: Path, data: bytes) -> None:
    """Replace `file` atomically: a server that polls must not see a part of it."""
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    beside = Path(name)
    try:
        with open(handle, "wb") as stream:
            stream.write(data)
        beside.chmod(0o644)
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def add_variant(
    folder: VersionFolder, kind: NumberFormat, *, test_data: Path | None = None, data_dir: Path | None = None
) -> Card:
    """`make_variant` with the data set on the version's card, or with `test_data` as in `import_classifier`.

    Returns the new card. The ranges of an imported model come from its test data. Raises `ExportError` and
    `DatasetError`.
    """
    _, card = read_version(folder)
    if (card.name, card.version) != (folder.name, folder.version):
        raise ExportError(f"{folder.onnx} says it is {card.name} version {card.version}, which its folder does not")
    learned, test = _data(card, test_data, data_dir)
    return read_version(make_variant(folder, kind, learned, test))[1]


def _data(card: Card, test_data: Path | None, data_dir: Path | None) -> tuple[NDArray[np.uint8], Part]:
    """Images for the ranges of hidden layers, and the version's test data."""
    if test_data is None and card.dataset in SHAPES:
        dataset = load(card.dataset, data_dir)
    elif test_data is None:
        raise ExportError(f"{card.name} was made from {card.dataset!r}; say --test-data, what it was made from")
    elif test_data.is_dir() and card.recipe:  # trained on a folder of images, a part of which was held out
        dataset = image_folder(
            test_data, rows=card.rows, cols=card.cols, pixel_max=card.pixel_max, preparation=card.preparation
        )
        if dataset.sha256 != card.dataset_sha256:
            raise ExportError(f"{test_data} is not what {card.name} version {card.version} was trained on")
    else:
        test = _read(test_data, card)
        return test.pixels, test
    return dataset.train.pixels, dataset.test


def _read(test_data: Path, card: Card) -> Part:
    """The test data of the version's export, from a .npz file or a folder, with positions of classes as labels."""
    if test_data.is_dir():
        pixels, labels = read_images(
            test_data, rows=card.rows, cols=card.cols, pixel_max=card.pixel_max, preparation=card.preparation
        )
    else:
        pixels, labels = read_npz(test_data)
    if pixels.shape[1:] not in ((card.features,), (card.rows, card.cols)) or len(labels) != len(pixels):
        raise ExportError(
            f"{test_data} has pixels of shape {list(pixels.shape)} and {len(labels)} labels, expected "
            f"{card.rows}×{card.cols} each and as many"
        )
    if data_sha256(pixels, labels) != card.dataset_sha256:
        raise ExportError(f"{test_data} is not what {card.name} version {card.version} was exported with")
    try:
        positions = class_positions(card.classes, labels)
    except ExportError:
        positions = class_positions(card.labels, labels)  # a class of the classifier that has another name on the card
    return Part(pixels.reshape(len(pixels), -1), positions)


def read_version(folder: VersionFolder) -> tuple[bytes, Card]:
    """The bytes of model.onnx, and the card in it. Raises `ExportError`."""
    import onnx

    try:
        model = folder.read_onnx()
        properties = {each.key: each.value for each in onnx.load_model_from_string(model).metadata_props}
        card = Card.from_json(properties[CARD_KEY])
        if card.variant != folder.variant:
            raise CardError(f"{folder.onnx} says its variant is {card.variant!r}, expected {folder.variant!r}")
        return model, card
    except (LayoutError, CardError) as error:
        raise ExportError(str(error)) from None
    except Exception as error:  # a damaged file raises many types
        raise ExportError(f"{folder.onnx} is no model with a card: {error}") from None


def _evaluate(build: Callable[[Card], bytes], card: Card, truth: dict[str, NDArray[Any]], test: Part) -> bytes:
    """The variant with its own results on the card. Raises `ExportError` if they are not good enough."""
    got = _Runner(build(card)).run(test.pixels, list(truth))
    # NumPy's maximum propagates NaN, `max` does not.
    difference = float(np.max([np.abs(got[name] - truth[name]).max() for name in truth if name != LABEL]))
    allowed = max(card.tolerance.values())  # the same for each provider
    if not difference <= allowed:
        raise ExportError(
            f"the {card.variant} of {card.name} version {card.version} is refused: a score differs by "
            f"{difference:.2g}, more than {allowed:g}"
        )
    positions = np.searchsorted(card.labels, got[LABEL], sorter=np.argsort(card.labels))
    result = evaluate(test.labels, np.argsort(card.labels)[positions], classes=len(card.classes))
    if result.accuracy < card.accuracy - MAX_ACCURACY_LOSS:
        raise ExportError(
            f"the {card.variant} of {card.name} version {card.version} is refused: {result.accuracy:.2%} right, "
            f"and the version itself has {card.accuracy:.2%}"
        )
    card = replace(card, accuracy=result.accuracy, confusion=result.confusion)
    if card.temperature is not None:
        judged = evaluate_calibration(got[SCORES].astype(np.float64), test.labels)
        card = replace(card, calibration_error=round(judged.error, 6), reliability=judged.rounded)
    return build(card)


class _Runner:
    """Runs a model on the CPU in parts that fit into the cache."""

    def __init__(self, model: bytes) -> None:
        """Raises `ExportError` for a graph that cannot be run."""
        from onnxruntime import InferenceSession

        try:
            self._session = InferenceSession(model, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions have no common base
            raise ExportError(f"onnxruntime cannot load the model: {str(error).splitlines()[0]}") from None

    def run(self, pixels: NDArray[np.uint8], names: list[str]) -> dict[str, NDArray[Any]]:
        """Outputs by name."""
        parts = list(self._parts(pixels, names))
        return {name: np.concatenate([part[place] for part in parts]) for place, name in enumerate(names)}

    def ranges(self, pixels: NDArray[np.uint8], names: tuple[str, ...]) -> dict[str, tuple[float, float]]:
        """The least and the greatest value of each output."""
        found = dict.fromkeys(names, (0.0, 0.0))
        for part in self._parts(pixels, list(names)) if names else ():  # an empty list would mean all outputs
            for name, values in zip(names, part, strict=True):
                least, greatest = found[name]
                found[name] = min(least, float(values.min())), max(greatest, float(values.max()))
        return found

    def _parts(self, pixels: NDArray[np.uint8], names: list[str]) -> Iterable[list[NDArray[Any]]]:
        for start in range(0, len(pixels), _RUN_ROWS):
            yield self._session.run(names, {INPUT: pixels[start : start + _RUN_ROWS]})
