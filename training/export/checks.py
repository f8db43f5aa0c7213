"""Checks of the classifiers and the test data before an export."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from artifact.card import MAX_MEMBERS, Activation, Preparation
from artifact.classes import ClassIndex, class_numbers
from training.export.assemble import assemble

# Attributes that `MLPClassifier.predict_proba` reads beside the weights.
_PREDICTS_BY = ("intercepts_", "n_layers_", "n_outputs_", "out_activation_")


class ExportError(ValueError):
    """The classifier or its test data cannot become a model; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """Fields of the card that do not follow from the classifier."""

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
    """Names of the classes in score order; by default those of the classifier."""
    recipe: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    temperature: float | None = None
    """Of calibrated classifiers: the divisor of their logits."""
    thresholds: tuple[float, ...] = ()
    """See `Card.thresholds`."""
    attributions: tuple[str, ...] = ()
    """See `Card.attributions`."""


def check_classifier(classifier: Any, names: Sequence[str] | None = None) -> Any:
    """The fitted `MLPClassifier` with all attributes for the export: itself, or one built from its weights.

    A classifier restored from stored weights lacks attributes that `fit` sets. It only needs a working
    `predict_proba` and known classes: `classes_`, else `names`, in score order. Raises `ExportError`, also for a
    multilabel classifier.
    """
    from sklearn.neural_network import MLPClassifier

    if not isinstance(classifier, MLPClassifier):
        steps = "; its steps before go into --pixel-scale and --pixel-offset" if hasattr(classifier, "steps") else ""
        raise ExportError(f"expected a fitted MLPClassifier, got {type(classifier).__name__}{steps}")
    if not hasattr(classifier, "coefs_"):
        raise ExportError("the MLPClassifier is not fitted: it has no coefs_")
    missing = [name for name in _PREDICTS_BY if not hasattr(classifier, name)]
    if missing:
        raise ExportError(f"the MLPClassifier lacks {', '.join(missing)}, so its predict_proba does not work")
    classes = getattr(classifier, "classes_", names)
    if classes is None:
        raise ExportError("the MLPClassifier lacks classes_, and no names of classes were given (--classes)")
    classes = np.asarray(classes)
    outputs = 1 if classifier.out_activation_ == "logistic" else classes.size
    if classes.ndim == 1 and len(classes) != classifier.n_outputs_ > 2:
        raise ExportError(f"the MLPClassifier has {classifier.n_outputs_} outputs, and it has {len(classes)} classes")
    if classes.ndim != 1 or len(classes) < 2 or classifier.n_outputs_ != outputs:
        raise ExportError("the MLPClassifier was fitted to give several labels, or only one, to every image")
    if len(set(classes.tolist())) < len(classes):
        raise ExportError(f"classes_ of the MLPClassifier are {classes.tolist()}, expected each class once")
    if classifier.activation not in get_args(Activation):
        raise ExportError(f"activation {classifier.activation!r} is none of {', '.join(get_args(Activation))}")
    weights, biases = _layers(classifier, len(classes))
    if not all(array.size for array in weights):
        raise ExportError("the MLPClassifier has a layer without neurons")
    if not all(np.isfinite(array).all() for array in (*weights, *biases)):
        raise ExportError("the MLPClassifier has weights that are not finite")
    if _is_as_fitted(classifier, [*weights, *biases]):
        return classifier
    return assemble(
        weights, biases, classes, activation=classifier.activation, output_activation=classifier.out_activation_
    )


def _layers(classifier: Any, classes: int) -> tuple[list[NDArray[Any]], list[NDArray[Any]]]:
    """Weights [inputs, neurons] and biases [neurons] of the layers that `predict_proba` uses."""
    layers = classifier.n_layers_ - 1
    try:
        weights = [np.asarray(each, _dtype(each)) for each in classifier.coefs_[:layers]]
        widths = [each.shape[1] for each in weights]
        biases = [
            np.broadcast_to(np.asarray(each, _dtype(each)), (1, width)).reshape(width)
            for each, width in zip(classifier.intercepts_[:layers], widths, strict=True)
        ]
        shape = classifier.predict_proba(np.zeros((1, len(weights[0])), weights[0].dtype)).shape
    except Exception as error:  # broken weights lead to many types
        why = " ".join(str(error).split())[:120]
        raise ExportError(f"predict_proba of the MLPClassifier fails ({why}): do coefs_ and intercepts_ fit?") from None
    if shape != (1, classes):
        raise ExportError(f"predict_proba of the MLPClassifier gives {shape[-1]} scores, and it has {classes} classes")
    return weights, biases


def _dtype(values: Any) -> Any:
    """float32 for float32 values, else float64."""
    return np.float32 if getattr(values, "dtype", None) == np.float32 else np.float64


def _is_as_fitted(classifier: Any, parameters: list[NDArray[Any]]) -> bool:
    """Whether it has all attributes that `fit` sets and the conversion reads."""
    own = [*classifier.coefs_, *classifier.intercepts_]
    return (
        all(hasattr(classifier, name) for name in ("_label_binarizer", "n_features_in_"))
        and isinstance(getattr(classifier, "classes_", None), np.ndarray)
        and len(own) == len(parameters)
        and all(
            getattr(a, "dtype", None) == b.dtype and a.shape == b.shape for a, b in zip(own, parameters, strict=True)
        )
    )


def check_members(classifiers: Sequence[Any]) -> None:
    """Raise `ExportError` unless the checked `classifiers` can be an ensemble: same shapes, same classes."""
    if not 1 <= len(classifiers) <= MAX_MEMBERS:
        raise ExportError(f"{len(classifiers)} classifiers were given, expected 1 to {MAX_MEMBERS}")
    forms = {(*(weights.shape for weights in each.coefs_), each.activation) for each in classifiers}
    if len(forms) > 1:
        raise ExportError("the members of a committee need the same shapes and the same activation")
    if len({tuple(each.classes_.tolist()) for each in classifiers}) > 1:
        raise ExportError("the members of a committee need the same classes")


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


def card_classes(classes: NDArray[Any], names: Sequence[str] | None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Names and labels of a classifier's `classes` for the card; `names` default to those of the classifier.

    The label of a class is its value in the output `label`: its name if that is a whole number, else its class if
    that is one, else its position. Raises `ExportError` for fractions without names.
    """
    own = class_numbers(classes.tolist())
    if own is None and names is None and classes.dtype.kind in "iufb":
        raise ExportError(f"classes {classes.tolist()} are no whole numbers of 32 bits; name them as strings")
    if names is None:
        values = classes.tolist() if own is None or classes.dtype.kind not in "iufb" else own
        names = [each.decode(errors="replace") if isinstance(each, bytes) else str(each) for each in values]
    named = class_numbers(names)
    positions = tuple(range(len(classes)))
    return tuple(names), named if named is not None else own if own is not None else positions


def class_positions(
    classes: Sequence[Any], labels: NDArray[Any], names: Sequence[str] | None = None
) -> NDArray[np.int64]:
    """The position in score order of the class of each label [N]; a label is one of `classes`, else of `names`.

    "7", 7 and 7.0 are the same label. Raises `ExportError` for an unknown label.
    """
    indices = [ClassIndex(each) for each in (classes, names) if each is not None]
    found: dict[Any, int] = {}
    for label in dict.fromkeys(labels.tolist()):
        place = next((place for place in (index.find(label) for index in indices) if place is not None), None)
        if place is None:
            raise ExportError(f"test label {label!r} is none of the classes {', '.join(map(str, classes))}")
        found[label] = place
    return np.array([found[label] for label in labels.tolist()], np.int64)
