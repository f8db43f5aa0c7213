"""Anyone's fitted `MLPClassifier` becomes a version in the model repository, if it passes the parity gate."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from artifact.card import MAX_MEMBERS, Activation, Card, CardError, Preparation
from artifact.layout import INPUT, LABEL, SCORES, Golden, VersionFolder
from training.calibration import Calibration, calibration
from training.evaluate import Evaluation, evaluate
from training.fitted_file import skops_bytes
from training.golden import golden_rows
from training.graph import GraphError, build_graph
from training.inputs import scaled

PARITY = 1e-5
"""Largest difference of a score from scikit-learn's that the gate lets through."""
TOLERANCE = {"CPUExecutionProvider": 1e-5, "CUDAExecutionProvider": 1e-4}
"""What a server has to reproduce the golden scores within, by execution provider."""
SKOPS_LIMIT = 20_000_000  # bytes; a larger classifier is not kept beside its model

_LIBRARIES = ("numpy", "onnx", "onnxruntime", "scikit-learn", "skl2onnx")
_INT32 = np.iinfo(np.int32)


class ExportError(ValueError):
    """The classifier or its test data cannot become a model; the message says why."""


Report = Callable[[Path, Card, NDArray[Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What the card says that the classifier cannot know."""

    name: str
    version: int
    rows: int
    cols: int
    pixel_max: int
    preparation: Preparation
    dataset: str
    dataset_sha256: str
    pixel_scale: float
    """The classifier was fitted on `(pixel - pixel_offset) * pixel_scale`."""
    pixel_offset: float = 0.0
    classes: tuple[str, ...] | None = None
    """Names of the classes in score order; by default what the classifier calls them."""
    recipe: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    temperature: float | None = None
    """Of classifiers that are calibrated: what their last layers were divided by."""
    thresholds: tuple[float, ...] = ()
    """See `Card.thresholds`."""


def export(
    fitted: Any,
    pixels: NDArray[np.uint8],
    labels: NDArray[Any],
    description: Description,
    models: Path,
    *,
    force: bool = False,
    report: Report | None = None,
) -> VersionFolder:
    """Write `models/<name>/<version>/` for `fitted`, a fitted `MLPClassifier` or a list of them: all or nothing.

    Several are a committee: all of one form and of the same classes, its scores are the mean of theirs.
    `pixels` uint8 [N, rows*cols] and `labels` [N], of the classifiers' own classes, are the test data: the
    card's accuracy and confusion matrix come from them, and no model is written whose scores differ from
    `predict_proba` by more than `PARITY` on them, or by one label. `report` is told the folder to write to,
    the card and the scores [N, classes]. A classifier that stands alone is kept beside its model; a committee's
    come out of it again by `training.members`. Raises `ExportError`, also when the version exists and `force`
    is not set.
    """
    folder = VersionFolder(models, description.name, description.version)
    if folder.path.exists() and not force:
        raise ExportError(f"{folder.path} exists; choose another version, or --force to replace it")
    classifiers = list(fitted) if isinstance(fitted, list | tuple) else [fitted]
    for each in classifiers:
        check_classifier(each)
    _check_alike(classifiers)
    first = classifiers[0]
    _check(first, pixels, labels, description)
    card_labels = _card_labels(first.classes_)
    truth = _positions(first, labels)
    inputs = scaled(pixels, pixel_scale=description.pixel_scale, pixel_offset=description.pixel_offset)
    reference = np.mean([each.predict_proba(inputs) for each in classifiers], axis=0)
    predicted = _positions(first, _predict(first, reference))
    result = evaluate(truth, predicted, classes=len(first.classes_))
    judged = None if description.temperature is None else calibration(reference, truth)
    card = _card(first, len(classifiers), description, card_labels, result, judged)
    try:
        model = build_graph(classifiers, card)
    except GraphError as error:
        raise ExportError(str(error)) from None
    card_predicted = np.array(card_labels, dtype=np.int64)[predicted]
    check_parity(model, pixels, reference, card_predicted)

    golden = golden_rows(truth, reference)
    receipt = Golden(pixels[golden], card_predicted[golden], reference[golden].astype(np.float32))
    with _unfinished(folder) as unfinished:
        unfinished.onnx.write_bytes(model)
        unfinished.card.write_text(_card_file(card), encoding="utf-8")
        unfinished.write_golden(receipt)
        kept = skops_bytes(first) if len(classifiers) == 1 else b""
        if 0 < len(kept) <= SKOPS_LIMIT:
            (unfinished.path / "model.skops").write_bytes(kept)
        if report is not None:
            report(unfinished.report, card, reference)
    return folder


def check_parity(model: bytes, pixels: NDArray[np.uint8], scores: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """The largest difference of the model's scores from `scores` [N, classes], over all rows.

    Runs `model` (the bytes of model.onnx) with onnxruntime on the CPU. Raises `ExportError` when it is more
    than `PARITY`, or when a label is not that in `labels` [N].
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    got_labels, got_scores = session.run([LABEL, SCORES], {INPUT: pixels})
    difference = float(np.abs(got_scores - scores).max())
    if not difference <= PARITY:
        raise ExportError(
            f"the parity gate refuses: a score of the ONNX model differs from scikit-learn's by "
            f"{difference:.2e}, more than {PARITY:.0e}"
        )
    if wrong := int((got_labels != labels).sum()):
        raise ExportError(f"the parity gate refuses: {wrong} of {len(labels)} labels differ from scikit-learn's")
    return difference


def check_classifier(classifier: Any) -> None:
    """Raise `ExportError` unless `classifier` is a fitted `MLPClassifier` that gives one label to an image."""
    from sklearn.neural_network import MLPClassifier

    if not isinstance(classifier, MLPClassifier):
        raise ExportError(f"expected a fitted MLPClassifier, got {type(classifier).__name__}")
    if not hasattr(classifier, "coefs_") or not hasattr(classifier, "classes_"):
        raise ExportError("the MLPClassifier is not fitted")
    outputs = 1 if classifier.out_activation_ == "logistic" else len(classifier.classes_)
    if classifier.n_outputs_ != outputs or len(classifier.classes_) < 2:
        raise ExportError("the MLPClassifier was fitted to give several labels, or only one, to every image")
    if classifier.activation not in get_args(Activation):
        raise ExportError(f"activation {classifier.activation!r} is none of {', '.join(get_args(Activation))}")
    if not all(np.isfinite(array).all() for array in (*classifier.coefs_, *classifier.intercepts_)):
        raise ExportError("the MLPClassifier has weights that are not finite")


def _check_alike(classifiers: Sequence[Any]) -> None:
    """Raise `ExportError` unless `classifiers`, each checked, can be a committee: one form, the same classes."""
    if not 1 <= len(classifiers) <= MAX_MEMBERS:
        raise ExportError(f"{len(classifiers)} classifiers were given, expected 1 to {MAX_MEMBERS}")
    forms = {(*(weights.shape for weights in each.coefs_), each.activation) for each in classifiers}
    if len(forms) > 1:
        raise ExportError("the members of a committee have to be of one shape and one activation")
    if len({tuple(each.classes_.tolist()) for each in classifiers}) > 1:
        raise ExportError("the members of a committee have to know the same classes")


def _check(classifier: Any, pixels: NDArray[np.uint8], labels: NDArray[Any], description: Description) -> None:
    """Raise `ExportError` unless the test data and the description fit the classifier."""
    features = classifier.coefs_[0].shape[0]
    if description.rows * description.cols != features:
        raise ExportError(
            f"the MLPClassifier has {features} inputs, but {description.rows} rows × {description.cols} columns "
            f"are {description.rows * description.cols} pixels"
        )
    if pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != features or len(pixels) == 0:
        raise ExportError(
            f"test pixels are {pixels.dtype}{list(pixels.shape)}, expected uint8 [N, {features}] with N at least 1"
        )
    if labels.shape != (len(pixels),):
        raise ExportError(f"test labels have the shape {list(labels.shape)}, expected [{len(pixels)}]")
    if pixels.max() > description.pixel_max:
        raise ExportError(f"a test pixel is {pixels.max()}, above pixel_max {description.pixel_max}")
    if not (np.isfinite(description.pixel_scale) and description.pixel_scale > 0):
        raise ExportError(f"pixel_scale is {description.pixel_scale}, expected a number above 0")
    if not np.isfinite(description.pixel_offset):
        raise ExportError(f"pixel_offset is {description.pixel_offset}, expected a number")
    if description.classes is not None and len(description.classes) != len(classifier.classes_):
        raise ExportError(
            f"{len(description.classes)} names of classes were given, "
            f"and the MLPClassifier has {len(classifier.classes_)} classes"
        )


def _card_labels(classes: NDArray[Any]) -> tuple[int, ...]:
    """What the output `label` holds for each class: the class where it is a whole number, else its position."""
    if classes.dtype.kind not in "iufb":
        return tuple(range(len(classes)))
    whole = classes.astype(np.int64)
    if (whole != classes).any() or whole.min() < _INT32.min or whole.max() > _INT32.max:
        raise ExportError(f"classes {classes.tolist()} are no whole numbers of 32 bits; name them as strings")
    return tuple(whole.tolist())


def _positions(classifier: Any, labels: NDArray[Any]) -> NDArray[np.int64]:
    """For each label [N] the position of its class in score order."""
    try:
        positions = np.searchsorted(classifier.classes_, labels).clip(0, len(classifier.classes_) - 1)
        known = classifier.classes_[positions] == labels
    except TypeError:  # strings against numbers
        known = np.zeros(len(labels), dtype=bool)
    if not np.all(known):
        stranger = np.asarray(labels)[~np.broadcast_to(known, len(labels))][0]
        raise ExportError(f"test label {stranger!r} is none of the classes {classifier.classes_.tolist()}")
    return positions.astype(np.int64)


def _predict(classifier: Any, scores: NDArray[Any]) -> NDArray[Any]:
    """`MLPClassifier.predict` from what its `predict_proba` gave, without running it a second time."""
    raw = scores[:, 1] if classifier.n_outputs_ == 1 else scores
    labels: NDArray[Any] = classifier._label_binarizer.inverse_transform(raw)
    return labels


def _card(
    classifier: Any,
    members: int,
    description: Description,
    labels: tuple[int, ...],
    result: Evaluation,
    judged: Calibration | None,
) -> Card:
    names = description.classes or tuple(
        str(value if classifier.classes_.dtype.kind in "UO" else labels[position])
        for position, value in enumerate(classifier.classes_)
    )
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
        )
    except CardError as error:
        raise ExportError(str(error)) from None


def _card_file(card: Card) -> str:
    """The card for people, with the date."""
    today = datetime.now(UTC).date().isoformat()
    plain = json.loads(card.to_json(date=today))
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@contextmanager
def _unfinished(folder: VersionFolder) -> Iterator[VersionFolder]:
    """A folder beside the version's to be filled; renamed into place at the end, or removed at an error."""
    folder.path.parent.mkdir(parents=True, exist_ok=True)
    # The leading dot keeps servers that look for new versions from reading a half-written one.
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
