"""What the export takes: a fitted `MLPClassifier`, or several of one form, with test data that fits."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from artifact.card import MAX_MEMBERS, Activation, Preparation

_INT32 = np.iinfo(np.int32)


class ExportError(ValueError):
    """The classifier or its test data cannot become a model; the message says why."""


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


def check_alike(classifiers: Sequence[Any]) -> None:
    """Raise `ExportError` unless `classifiers`, each checked, can be a committee: one form, the same classes."""
    if not 1 <= len(classifiers) <= MAX_MEMBERS:
        raise ExportError(f"{len(classifiers)} classifiers were given, expected 1 to {MAX_MEMBERS}")
    forms = {(*(weights.shape for weights in each.coefs_), each.activation) for each in classifiers}
    if len(forms) > 1:
        raise ExportError("the members of a committee have to be of one shape and one activation")
    if len({tuple(each.classes_.tolist()) for each in classifiers}) > 1:
        raise ExportError("the members of a committee have to know the same classes")


def check_data(classifier: Any, pixels: NDArray[np.uint8], labels: NDArray[Any], description: Description) -> None:
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


def card_labels(classes: NDArray[Any]) -> tuple[int, ...]:
    """What the output `label` holds for each class: the class where it is a whole number, else its position."""
    if classes.dtype.kind not in "iufb":
        return tuple(range(len(classes)))
    whole = classes.astype(np.int64)
    if (whole != classes).any() or whole.min() < _INT32.min or whole.max() > _INT32.max:
        raise ExportError(f"classes {classes.tolist()} are no whole numbers of 32 bits; name them as strings")
    return tuple(whole.tolist())


def class_positions(classifier: Any, labels: NDArray[Any]) -> NDArray[np.int64]:
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
