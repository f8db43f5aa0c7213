"""Exports a fitted `MLPClassifier` to a version in the model repository, if it passes the parity gate."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card, CardError
from artifact.golden import Golden
from artifact.names import INPUT, LABEL, NOT_A_DIGIT, SCORES
from artifact.snapshots import Snapshots, write_snapshots
from artifact.store import VersionFolder
from training.data.inputs import scale_pixels
from training.evaluate.calibration import Calibration, evaluate_calibration
from training.evaluate.detector import Curve, Detector, areas, detector_curves
from training.evaluate.evaluate import Evaluation, evaluate
from training.export.checks import (
    Description,
    ExportError,
    card_classes,
    check_classifier,
    check_data,
    check_members,
    class_positions,
)
from training.export.golden_rows import choose_golden_rows
from training.export.graph import GraphError, build_graph
from training.export.skops_file import skops_bytes

PARITY = 1e-5
"""Largest difference of a score from scikit-learn's that passes the gate."""
TOLERANCE = {"CPUExecutionProvider": 1e-5, "CUDAExecutionProvider": 1e-4}
"""Largest difference from the golden scores on a server, by execution provider."""
SKOPS_LIMIT = 4_000_000  # bytes; a larger classifier is not stored beside its model

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")


Report = Callable[[Path, Card, NDArray[Any], Mapping[str, Curve]], None]


def export(
    fitted: Any,
    pixels: NDArray[np.uint8],
    labels: NDArray[Any],
    description: Description,
    models: Path,
    *,
    detector: Detector | None = None,
    outliers: Mapping[str, NDArray[np.uint8]] = MappingProxyType({}),
    snapshots: Snapshots | None = None,
    force: bool = False,
    report: Report | None = None,
) -> VersionFolder:
    """Write `models/<name>/<version>/` for `fitted`, a fitted `MLPClassifier` or a list of them: all or nothing.

    A list is an ensemble of the same shapes and classes, whose scores are averaged. `pixels` uint8 [N, rows*cols]
    and `labels` [N] (of the classifiers' classes) are the test data. The accuracy and the confusion matrix on the
    card come from them. The export fails if on them a score differs from `predict_proba` by more than `PARITY`, or a
    label differs. A `detector` adds the output `not_a_digit`, with the same gate and its curves' areas on the card,
    also for `outliers`, see `detector_curves`. `snapshots` are stored beside the model.
    `report` is called with the folder to write to, the card, the scores [N, classes] and the detector's curves. A
    single classifier is stored beside its model; those of an ensemble can be read from it by `extract`. Raises
    `ExportError`, also if the version exists and `force` is not set.
    """
    folder = VersionFolder(models, description.name, description.version)
    if folder.path.exists() and not force:
        raise ExportError(f"{folder.path} exists; choose another version, or --force to replace it")
    given = list(fitted) if isinstance(fitted, list | tuple) else [fitted]
    classifiers = [check_classifier(each, description.classes) for each in given]
    check_members(classifiers)
    first = classifiers[0]
    check_data(first, pixels, labels, description)
    classes = names, labelled = card_classes(first.classes_, description.classes)
    truth = class_positions(first.classes_.tolist(), labels, names)
    inputs = scale_pixels(pixels, pixel_scale=description.pixel_scale, pixel_offset=description.pixel_offset)
    reference = np.mean([each.predict_proba(inputs) for each in given], axis=0)
    predicted = reference.argmax(axis=1)  # as in `MLPClassifier.predict`, without a second run
    result = evaluate(truth, predicted, classes=len(first.classes_))
    chances = None if detector is None else detector.chances(classifiers, inputs)
    curves: dict[str, Curve] = {}
    if detector is not None and chances is not None:
        scale = partial(scale_pixels, pixel_scale=description.pixel_scale, pixel_offset=description.pixel_offset)
        curves = detector_curves(detector, classifiers, chances, description, scale, outliers)
    judged = None if description.temperature is None else evaluate_calibration(reference, truth)
    card = _card(first, len(classifiers), description, classes, result, judged, curves)
    try:
        model = build_graph(classifiers, card, detector)
    except GraphError as error:
        raise ExportError(str(error)) from None
    card_predicted = np.array(labelled, dtype=np.int64)[predicted]
    check_parity(model, pixels, reference, card_predicted, chances)

    golden = choose_golden_rows(truth, reference)
    receipt = Golden(
        pixels[golden],
        card_predicted[golden],
        reference[golden].astype(np.float32),
        None if chances is None else chances[golden].astype(np.float32),
    )
    with _unfinished(folder) as unfinished:
        unfinished.onnx.write_bytes(model)
        unfinished.card.write_text(_card_file(card), encoding="utf-8")
        unfinished.write_golden(receipt)
        kept = skops_bytes(first) if len(classifiers) == 1 else b""
        if 0 < len(kept) <= SKOPS_LIMIT:
            (unfinished.path / "model.skops").write_bytes(kept)
        if snapshots is not None:
            write_snapshots(unfinished.snapshots, snapshots)
        if report is not None:
            report(unfinished.report, card, reference, curves)
    return folder


def check_parity(
    model: bytes,
    pixels: NDArray[np.uint8],
    scores: NDArray[Any],
    labels: NDArray[np.int64],
    chances: NDArray[np.float64] | None = None,
) -> float:
    """The largest difference of the model's scores from `scores` [N, classes] over all rows.

    With `chances` [N], the difference of `not_a_digit` from them counts too. Runs `model` (the bytes of model.onnx)
    by onnxruntime on the CPU. Raises `ExportError` if the difference is above `PARITY`, or if a label differs from
    `labels` [N].
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    wanted = [LABEL, SCORES] if chances is None else [LABEL, SCORES, NOT_A_DIGIT]
    got_labels, got_scores, *got_chances = session.run(wanted, {INPUT: pixels})
    difference = float(np.abs(got_scores - scores).max())
    if chances is not None:
        # Unlike `max`, it propagates NaN.
        difference = float(np.maximum(difference, np.abs(got_chances[0] - chances).max()))
    if not difference <= PARITY:
        raise ExportError(
            f"the parity gate refuses: a score of the ONNX model differs from scikit-learn's by "
            f"{difference:.2e}, more than {PARITY:.0e}"
        )
    if wrong := int((got_labels != labels).sum()):
        raise ExportError(f"the parity gate refuses: {wrong} of {len(labels)} labels differ from scikit-learn's")
    return difference


def _card(
    classifier: Any,
    members: int,
    description: Description,
    classes: tuple[tuple[str, ...], tuple[int, ...]],
    result: Evaluation,
    judged: Calibration | None,
    curves: Mapping[str, Curve],
) -> Card:
    names, labels = classes
    try:
        return Card(
            name=description.name,
            version=description.version,
            rows=description.rows,
            cols=description.cols,
            pixel_max=description.pixel_max,
            pixel_scale=description.pixel_scale,
            pixel_offset=description.pixel_offset,
            preparation=description.preparation,
            classes=names,
            labels=labels,
            layer_widths=(classifier.coefs_[0].shape[0], *(w.shape[1] for w in classifier.coefs_)),
            activation=classifier.activation,
            output_activation=classifier.out_activation_,
            members=members,
            recipe=description.recipe,
            seed=description.seed,
            dataset=description.dataset,
            dataset_sha256=description.dataset_sha256,
            test_rows=result.rows,
            accuracy=result.accuracy,
            confusion=result.confusion,
            tolerance=TOLERANCE,
            libraries={library: metadata.version(library) for library in _LIBRARIES},
            temperature=description.temperature,
            calibration_error=None if judged is None else round(judged.error, 6),
            reliability=() if judged is None else judged.rounded,
            thresholds=description.thresholds,
            outlier_auc=areas(curves),
            attributions=description.attributions,
        )
    except CardError as error:
        raise ExportError(str(error)) from None


def _card_file(card: Card) -> str:
    """The card as indented JSON with the date."""
    today = datetime.now(UTC).date().isoformat()
    plain = json.loads(card.to_json(date=today))
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@contextmanager
def _unfinished(folder: VersionFolder) -> Iterator[VersionFolder]:
    """A temporary folder beside that of the version; renamed at the end, or removed after an error."""
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    # Servers that poll for new versions ignore names with a leading dot.
    beside = Path(tempfile.mkdtemp(prefix=f".{folder.version}-", dir=folder.path.parent))
    try:
        unfinished = VersionFolder(beside, folder.name, folder.version)
        unfinished.path.mkdir(parents=True)
        yield unfinished
        if folder.path.exists():
            folder.path.replace(beside / "replaced")
        unfinished.path.replace(folder.path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
        with suppress(OSError):  # it has versions
            folder.path.parent.rmdir()
