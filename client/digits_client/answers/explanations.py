"""Why an image got its scores."""

from dataclasses import dataclass

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

from digits_client.answers.results import Classification, read_identity, read_prediction, read_timings


@dataclass(frozen=True, slots=True, eq=False)
class LayerContributions:
    """What the neurons of one layer add to a logit; `contributions` and `rest` sum up to it."""

    name: str
    """`pixels`, `hidden_1`, `hidden_2`, …"""
    contributions: NDArray[np.float32]
    """float32 [neurons], or [rows*cols] for the pixels; negative ones speak against the class."""
    rest: float
    """What does not depend on the layer: biases, or the logit of a blank image."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkExplanation:
    """What makes the logit of the class in one network."""

    logit: float
    """The value of the class before the softmax; of a network with one output, the logarithm of its odds."""
    exact: bool
    """Whether the parts are exact, as for a network with ReLU, or integrated gradients from a blank image."""
    layers: tuple[LayerContributions, ...]
    """Of the pixels and of each hidden layer."""


@dataclass(frozen=True, slots=True, eq=False)
class Change:
    """A small change of the pixels that makes the image another class. It is not proved to be the smallest."""

    pixels: NDArray[np.uint8]
    """uint8 [rows*cols]: the changed image."""
    changed_pixels: int
    """Pixels that differ."""
    classification: Classification
    """What the served model makes of the changed image."""


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why an image got the score of one class."""

    pixels: NDArray[np.uint8]
    """uint8 [rows*cols]: the image as the network got it."""
    explained_class: int
    """Position of the class, in the order of the scores."""
    members: tuple[NetworkExplanation, ...]
    """Each network by itself: the scores of a committee are averaged after the softmax."""
    change: Change | None
    """None unless asked for, and when none was found."""
    classification: Classification
    """As from `classify`, without activations."""


def read_explanation(response: pb.ExplainResponse) -> Explanation:
    """The message as a value."""
    model, timings = read_identity(response.model), read_timings(response.timings)
    change = response.change
    return Explanation(
        pixels=np.frombuffer(response.pixels, np.uint8),
        explained_class=response.explained_class,
        members=tuple(_read_member(member) for member in response.members),
        change=Change(
            np.frombuffer(change.pixels, np.uint8),
            change.changed_pixels,
            read_prediction(change.prediction, model, timings),
        )
        if response.HasField("change")
        else None,
        classification=read_prediction(response.prediction, model, timings),
    )


def _read_member(member: pb.Explanation) -> NetworkExplanation:
    layers = tuple(
        LayerContributions(layer.name, np.array(layer.contributions, np.float32), layer.rest) for layer in member.layers
    )
    return NetworkExplanation(member.logit, member.exact, layers)
