"""The detector: whether an image shows a digit, fitted on digits and on images without one.

It is one more output neuron: a logistic regression on the last hidden layers of all networks, or on a hidden layer of
its own. That reads all hidden layers of the networks, or the pixels where narrow networks keep too little of an image.
For images without a digit see `training.data.outliers`. Hidden layers of a classifier detect outliers: K. Lee,
K. Lee, H. Lee, J. Shin, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial
Attacks", NeurIPS 2018.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Activation
from imaging.prepare import Form
from training.data.augment import Distortion, augment
from training.data.dataset import Part
from training.data.fragments import draw_pairs, draw_parts
from training.data.letters import printed_letters
from training.data.lines import Crops
from training.data.outliers import FAMILIES, draw_outliers

ALL = "all"
"""All drawn families of outliers, together."""

InputFunction = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Pixels uint8 [N, rows*cols] -> inputs of the networks, float32 [N, rows*cols]."""

PAIRS, PARTS = "pairs of digits", "parts of digits"
"""Kinds of images that a detector with a hidden layer of its own knows beside the drawn ones."""

_FIT_EACH, _JUDGE_EACH = 4000, 2000  # at most so many images of a family, and no more than there are digits
_OWN_EACH = 10_000  # the same, for the fit of a detector with a hidden layer of its own
_FIT_SEED, _JUDGE_SEED = 1, 2
_CROPS = 20_000  # at most so many crops of lines that are digits, and as many that are none
_OWN_ALPHA, _OWN_EPOCHS = 1e-2, 15  # of the network that a detector with a hidden layer of its own is
_PENALTY = 100.0  # weight of the squared weights against the loss of all images
# Digits that are more distorted than the held-out ones are digits too.
_BENT = Distortion(rotation=12, scale=0.12, shear=0.12, shift=1.0, alpha=38, sigma=6)


@dataclass(frozen=True, slots=True)
class Detector:
    """The neuron; its output is the logistic function of `hidden @ weights + bias`."""

    weights: NDArray[np.float64]
    """[total width of the last hidden layers of all networks, or width of its own]"""
    bias: float
    own: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    """Weights [inputs, width] and biases [width] of a hidden layer of its own, with ReLU; None if it has none."""
    reads_hidden: bool = False
    """Whether that layer reads all hidden layers of all networks, and not the networks' inputs [rows*cols]."""

    def chances(self, networks: Sequence[Any], inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probability, [N], that an image shows no digit; `inputs` [N, rows*cols] are those of the networks."""
        from scipy.special import expit

        if self.own is None:
            hidden = last_hidden(networks, inputs)
        else:
            read = all_hidden(networks, inputs) if self.reads_hidden else inputs
            hidden = np.maximum(read @ self.own[0] + self.own[1], 0)
        chances: NDArray[np.float64] = expit(hidden @ self.weights + self.bias)
        return chances


@dataclass(frozen=True, slots=True)
class Curve:
    """The ROC curve of one family of outliers against digits."""

    false_alarms: NDArray[np.float64]
    """False positive rate: share of the digits above a threshold, ascending, [M]."""
    found: NDArray[np.float64]
    """True positive rate: share of the images without a digit above it, [M]."""
    area: float
    """Area under the curve, 0..1."""


def fit_detector(
    networks: Sequence[Any],
    part: Part,
    form: Form,
    inputs: InputFunction,
    outliers: NDArray[np.uint8] | None = None,
    *,
    width: int = 0,
    crops: Crops | None = None,
    reads_hidden: bool = False,
) -> Detector:
    """Fit the neuron on the digits of `part`, and on images without one.

    Those are drawn; `outliers` uint8 [M, rows*cols] are added to them. With a `width` the neuron has a hidden layer of
    its own, see `Detector.reads_hidden`, and pairs and parts of the digits are no digits to it; it learns from `crops`
    of lines, too. A neuron that reads
    layers of the networks needs a `part` that they did not learn from. Digits and images without one have the same
    total weight. The result is deterministic.
    """
    from sklearn.linear_model import LogisticRegression

    digits = part.pixels
    random = np.random.default_rng(_FIT_SEED)
    bent = augment(digits.astype(np.float32), _BENT, rows=form.rows, cols=form.cols, random=random)
    shown = np.concatenate([digits, np.rint(bent).clip(0, form.pixel_max).astype(np.uint8)])
    each = min(_OWN_EACH if width else _FIT_EACH, len(digits))
    drawn = [draw_outliers(family, each, form, random) for family in FAMILIES]
    if width:
        drawn += [draw_pairs(digits, each, form, random), draw_parts(part, each, form, random)]
    others = np.concatenate(drawn if outliers is None else [*drawn, outliers[:each]])
    if width:
        bent = augment(others.astype(np.float32), _BENT, rows=form.rows, cols=form.cols, random=random)
        others = np.concatenate([others, np.rint(bent).clip(0, form.pixel_max).astype(np.uint8)])
        if crops is not None:
            shown = np.concatenate([shown, _some(crops.digits.pixels, random)])
            others = np.concatenate([others, _some(crops.others, random)])
        if not reads_hidden:
            return _fit_own(inputs(shown), inputs(others), width)
        digit, other = (all_hidden(networks, inputs(pixels)) for pixels in (shown, others))
        middle, spread = _middle_and_spread(np.concatenate([digit, other]))
        digit, other = (digit - middle) / spread, (other - middle) / spread
        fitted = _fit_own(digit.astype(np.float32), other.astype(np.float32), width)
        assert fitted.own is not None
        first = fitted.own[0] / spread[:, None]
        return Detector(fitted.weights, fitted.bias, (first, fitted.own[1] - middle @ first), reads_hidden=True)
    hidden = last_hidden(networks, inputs(np.concatenate([shown, others])))
    middle, spread = _middle_and_spread(hidden)
    regression = LogisticRegression(C=1 / _PENALTY, class_weight="balanced", max_iter=2000)
    regression.fit((hidden - middle) / spread, np.repeat([0, 1], [len(shown), len(others)]))
    weights = regression.coef_[0] / spread
    return Detector(weights, float(regression.intercept_[0] - weights @ middle))


def _some(pixels: NDArray[np.uint8], random: np.random.Generator) -> NDArray[np.uint8]:
    """At most `_CROPS` of the images."""
    return pixels[random.permutation(len(pixels))[:_CROPS]]


def _middle_and_spread(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return values.mean(axis=0), np.maximum(values.std(axis=0), 1e-6)


def _fit_own(digits: NDArray[np.float32], others: NDArray[np.float32], width: int) -> Detector:
    """A detector with a hidden layer of `width` neurons of its own, from inputs with and without a digit."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    count = len(digits) + len(others)
    weights = np.repeat([count / 2 / len(digits), count / 2 / len(others)], [len(digits), len(others)])
    network = MLPClassifier(
        (width,), alpha=_OWN_ALPHA, batch_size=min(256, count), max_iter=_OWN_EPOCHS, random_state=_FIT_SEED
    )
    # One thread, so that sums have the same order on every machine.
    with threadpool_limits(1), warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        truth = np.repeat([0, 1], [len(digits), len(others)])
        network.fit(np.concatenate([digits, others]).astype(np.float32), truth, sample_weight=weights)
    first, last = (each.astype(np.float64) for each in network.coefs_)
    return Detector(last[:, 0], float(network.intercepts_[1][0]), (first, network.intercepts_[0].astype(np.float64)))


def detector_curves(
    detector: Detector,
    networks: Sequence[Any],
    digits: NDArray[np.float64],
    form: Form,
    inputs: InputFunction,
    outliers: Mapping[str, NDArray[np.uint8]] = MappingProxyType({}),
) -> dict[str, Curve]:
    """A curve for each family of outliers, with new images, and for `ALL`.

    `digits` [N] are the neuron's outputs for the test images. Printed letters come after the drawn families: the
    neuron was not fitted on them, and some of them have the shape of a digit. The last are `outliers`, further images
    uint8 [M, rows*cols] by kind.
    """
    random = np.random.default_rng(_JUDGE_SEED)
    each = min(_JUDGE_EACH, len(digits))
    drawn = {family: draw_outliers(family, each, form, random) for family in FAMILIES}
    chances = {name: detector.chances(networks, inputs(pixels)) for name, pixels in drawn.items()}
    known = {ALL: np.concatenate(list(chances.values())), **chances}
    further = {"printed letters": printed_letters(form), **outliers}
    unknown = {name: detector.chances(networks, inputs(pixels)) for name, pixels in further.items()}
    return {name: _curve(digits, others) for name, others in (known | unknown).items()}


def draw_fragments(part: Part, form: Form) -> dict[str, NDArray[np.uint8]]:
    """Pairs and parts of digits that no detector was fitted on, for its curves: uint8 [N, rows*cols] by kind."""
    random, each = np.random.default_rng(_JUDGE_SEED), min(_JUDGE_EACH, len(part))
    return {PAIRS: draw_pairs(part.pixels, each, form, random), PARTS: draw_parts(part, each, form, random)}


def areas(curves: Mapping[str, Curve]) -> dict[str, float]:
    """The areas for the card, to four digits."""
    return {name: round(curve.area, 4) for name, curve in curves.items()}


def _curve(digits: NDArray[np.float64], others: NDArray[np.float64]) -> Curve:
    from sklearn.metrics import roc_auc_score, roc_curve

    truth, chances = np.repeat([0, 1], [len(digits), len(others)]), np.concatenate([digits, others])
    false_alarms, found, _ = roc_curve(truth, chances)
    return Curve(false_alarms, found, float(roc_auc_score(truth, chances)))


def last_hidden(networks: Sequence[Any], inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Activations of the last hidden layers of all networks, [N, total width]."""
    return np.concatenate([_hidden(network, inputs)[-1] for network in networks], axis=1)


def all_hidden(networks: Sequence[Any], inputs: NDArray[np.float32]) -> NDArray[np.float64]:
    """Activations of all hidden layers of all networks, in the order of `Card.hidden_names`, [N, total width]."""
    return np.concatenate([layer for network in networks for layer in _hidden(network, inputs)], axis=1)


def _hidden(network: Any, inputs: NDArray[np.float32]) -> list[NDArray[np.float64]]:
    """Activations of each hidden layer, [N, width]."""
    from scipy.special import expit

    functions: dict[Activation, Callable[[NDArray[Any]], NDArray[Any]]] = {
        "identity": lambda values: values,
        "logistic": expit,
        "tanh": np.tanh,
        "relu": lambda values: np.maximum(values, 0),
    }
    values: NDArray[Any] = inputs
    layers = []
    for weights, biases in zip(network.coefs_[:-1], network.intercepts_[:-1], strict=True):
        values = functions[network.activation](values @ weights + biases)
        layers.append(values.astype(np.float64))
    return layers
