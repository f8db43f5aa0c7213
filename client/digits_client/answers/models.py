"""The models of a server, their cards and their weights."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from numpy.typing import NDArray

from digits_client.answers.results import ModelIdentity, read_identity
from digits_client.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class ListedVersion:
    """One version of a model in a listing."""

    version: str
    state: str
    """ready, loading, failed or unspecified."""
    reason: str
    """Why it is not ready; empty if it is."""
    rows: int
    """Height of an image in pixels; 0 if the card is unreadable, like the next two."""
    cols: int
    pixel_max: int
    classes: tuple[str, ...]
    """Names of the classes, in score order."""
    has_snapshots: bool = False
    """Whether `learning` has something to tell of it."""

    @property
    def ready(self) -> bool:
        """Whether it serves calls."""
        return self.state == "ready"

    @property
    def features(self) -> int:
        """Number of pixels of an image."""
        return self.rows * self.cols


@dataclass(frozen=True, slots=True)
class ListedModel:
    """One model with its versions in ascending order."""

    name: str
    versions: tuple[ListedVersion, ...]


@dataclass(frozen=True, slots=True)
class Listing:
    """All models of a server, and the limits of a call."""

    models: tuple[ListedModel, ...]
    default_model: str
    """The model of requests that name none; empty if there is none."""
    max_rows: int
    """Most images in one call."""
    max_message_bytes: int
    """Largest request in bytes."""

    def find(self, model: str = "", version: str = "") -> ListedVersion:
        """The version that serves a request with these names; empty: the default model, its newest ready version.

        Raises `ModelNotFound`.
        """
        name = model or self.default_model
        versions = next((each.versions for each in self.models if each.name == name), None)
        if versions is None:
            known = ", ".join(each.name for each in self.models) or "none"
            raise ModelNotFound(f"there is no model {name!r}; there is {known}")
        if version:
            found = next((each for each in versions if each.version == version), None)
        else:
            found = next((each for each in reversed(versions) if each.ready), versions[-1] if versions else None)
        if found is None:
            known = ", ".join(each.version for each in versions) or "none"
            raise ModelNotFound(f"model {name} has no version {version!r}; it has {known}")
        return found


@dataclass(frozen=True, slots=True, eq=False)
class ModelCard:
    """The card of a model."""

    model: ModelIdentity
    rows: int
    """Height of an image in pixels."""
    cols: int
    pixel_max: int
    """Pixels lie in 0..pixel_max, ink bright."""
    classes: tuple[str, ...]
    labels: tuple[int, ...]
    """The value of `Classification.digit` for each class."""
    layer_widths: tuple[int, ...]
    """Neurons per layer from input to output, e.g. (784, 16, 16, 10)."""
    activation: str
    output_activation: str
    members: int
    """Networks in the ensemble; 1 for a single network."""
    parameters: int
    """Weights and biases of all members together."""
    pixel_scale: float
    pixel_offset: float
    """The input of the network is (pixel - pixel_offset) * pixel_scale."""
    preparation: str
    recipe: Mapping[str, Any]
    """How it was trained; empty if unknown."""
    seed: int | None
    dataset: str
    dataset_sha256: str
    test_rows: int
    accuracy: float
    """Share of the test set that is classified correctly, 0..1."""
    confusion: NDArray[np.int64]
    """int64 [classes, classes]: test images by true (row) and predicted (column) class."""
    tolerance: Mapping[str, float]
    libraries: Mapping[str, str]
    temperature: float | None
    """Divisor of the logits that makes scores probabilities; None if scores are not calibrated."""
    calibration_error: float | None
    """Expected calibration error on the test set, 0..1; None if scores are not calibrated."""
    reliability: NDArray[np.float64]
    """float64 [bins, 3]: test images by best score, its mean, and their accuracy; empty if not calibrated."""
    thresholds: tuple[float, ...]
    """1 - the lowest score of a candidate, for the coverages 0.80, 0.81, …, 0.99, 0.991, …, 0.999; may be empty."""
    outlier_auc: Mapping[str, float]
    """Area under the ROC curve, 0..1, of `Classification.not_a_digit`, for each kind of image without a digit; empty
    for a model that does not compute it."""


@dataclass(frozen=True, slots=True, eq=False)
class NetworkLayer:
    """One layer: output = activation(input @ weights + biases)."""

    activation: str
    weights: NDArray[np.float32]
    """float32 [inputs, neurons], as in scikit-learn, for inputs that are scaled as on the card."""
    biases: NDArray[np.float32]
    """float32 [neurons]."""


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """The weights and biases of one network."""

    model: ModelIdentity
    layer_widths: tuple[int, ...]
    layers: tuple[NetworkLayer, ...]
    """From the first hidden layer to the output."""


@dataclass(frozen=True, slots=True, eq=False)
class Learning:
    """The training of a network, by S snapshots; of a committee, of its first member."""

    model: ModelIdentity
    epochs: NDArray[np.int64]
    """int64 [S]: finished epochs, ascending; 0 is the network before it learns."""
    losses: NDArray[np.float32]
    """float32 [S]: cross-entropy of that epoch on the images learned from; NaN before the first."""
    validation_losses: NDArray[np.float32]
    """float32 [S]: cross-entropy after that epoch on images not learned from."""
    validation_accuracies: NDArray[np.float32]
    """float32 [S]: accuracy, 0..1, on the same images."""
    weights: tuple[NDArray[np.float16], ...]
    """float16 [S, inputs, neurons] of each layer, as in `NetworkLayer`."""
    biases: tuple[NDArray[np.float16], ...]
    """float16 [S, neurons] of each layer."""
    temperature: float
    """The served model's logits are those of the last snapshot divided by it."""


def read_learning(responses: Sequence[pb.GetLearningResponse]) -> Learning:
    """The messages of layers 1, 2, … as a value. Raises `ValueError` for numbers that do not fit together."""
    first = responses[0]
    count, widths = len(first.epochs), first.layer_widths
    shapes = list(pairwise(widths))
    layers = list(zip(responses, shapes, strict=True))
    return Learning(
        model=read_identity(first.model),
        epochs=np.array(first.epochs, np.int64),
        losses=np.array(first.losses, np.float32),
        validation_losses=np.array(first.validation_losses, np.float32),
        validation_accuracies=np.array(first.validation_accuracies, np.float32),
        weights=tuple(np.frombuffer(each.weights, "<f2").reshape(count, *shape) for each, shape in layers),
        biases=tuple(np.frombuffer(each.biases, "<f2").reshape(count, shape[1]) for each, shape in layers),
        temperature=first.temperature,
    )


def read_listing(response: pb.ListModelsResponse) -> Listing:
    """The message as a value."""
    return Listing(
        models=tuple(
            ListedModel(model.name, tuple(_read_version(version) for version in model.versions))
            for model in response.models
        ),
        default_model=response.default_model,
        max_rows=response.max_rows,
        max_message_bytes=response.max_message_bytes,
    )


def _read_version(version: pb.ModelVersion) -> ListedVersion:
    return ListedVersion(
        version=version.version,
        state=pb.ModelState.Name(version.state).removeprefix("MODEL_STATE_").lower(),
        reason=version.reason,
        rows=version.rows,
        cols=version.cols,
        pixel_max=version.pixel_max,
        classes=tuple(version.classes),
        has_snapshots=version.has_snapshots,
    )


def read_card(response: pb.GetModelResponse) -> ModelCard:
    """The message as a value."""
    card = response.card
    classes = len(card.classes)
    return ModelCard(
        model=read_identity(response.model),
        rows=card.rows,
        cols=card.cols,
        pixel_max=card.pixel_max,
        classes=tuple(card.classes),
        labels=tuple(card.labels),
        layer_widths=tuple(card.layer_widths),
        activation=card.activation,
        output_activation=card.output_activation,
        members=card.members,
        parameters=card.parameters,
        pixel_scale=card.pixel_scale,
        pixel_offset=card.pixel_offset,
        preparation=card.preparation,
        recipe=json.loads(card.recipe_json or "{}"),
        seed=card.seed if card.HasField("seed") else None,
        dataset=card.dataset,
        dataset_sha256=card.dataset_sha256,
        test_rows=card.test_rows,
        accuracy=card.accuracy,
        confusion=np.array(card.confusion, np.int64).reshape(classes, -1 if card.confusion else 0),
        tolerance=dict(card.tolerance),
        libraries=dict(card.libraries),
        temperature=card.temperature if card.HasField("temperature") else None,
        calibration_error=card.calibration_error if card.HasField("calibration_error") else None,
        reliability=np.array(
            [(each.images, each.mean_score, each.accuracy) for each in card.reliability], np.float64
        ).reshape(-1, 3),
        thresholds=tuple(card.thresholds),
        outlier_auc=dict(card.outlier_auc),
    )


def read_layer(response: pb.GetNetworkResponse) -> NetworkLayer:
    """The one layer of a response to a request that names it."""
    layer = response.layers[0]
    return NetworkLayer(
        activation=layer.activation,
        weights=np.array(layer.weights, np.float32).reshape(layer.inputs, layer.neurons),
        biases=np.array(layer.biases, np.float32),
    )
