"""What the server holds: the lists, the cards and the weights of its models."""

import asyncio
import json

from digits_protocol.digits.v1 import digits_pb2 as pb

from artifact.card import Card
from artifact.weights import layer_activation, read_layer
from engine.errors import InvalidInput
from engine.models.repository import Repository
from engine.models.version import State, Version
from service.api.method import Context

_STATES = {
    State.LOADING: pb.MODEL_STATE_LOADING,
    State.READY: pb.MODEL_STATE_READY,
    State.FAILED: pb.MODEL_STATE_FAILED,
    State.UNLOADED: pb.MODEL_STATE_UNLOADED,
    State.ON_DEMAND: pb.MODEL_STATE_ON_DEMAND,
}


def identity(version: Version) -> pb.ModelIdentity:
    """Who answers; `version` is ready."""
    session = version.session
    return pb.ModelIdentity(
        name=version.name,
        version=version.version,
        sha256=session.sha256,
        execution_provider=session.provider,
        variant=session.card.variant,
    )


class ModelsApi:
    """The handlers of ListModels, GetModel and GetNetwork."""

    def __init__(self, repository: Repository, *, max_rows: int, max_message_bytes: int) -> None:
        """The limits are told to clients, not enforced here."""
        self._repository = repository
        self._max_rows = max_rows
        self._max_message_bytes = max_message_bytes

    async def list_models(self, request: pb.ListModelsRequest, context: Context) -> pb.ListModelsResponse:
        """All models and versions, those that are not ready too, and the limits of a call."""
        models = (
            pb.Model(name=name, versions=[_version(version) for version in versions])
            for name, versions in sorted(self._repository.models.items())
        )
        return pb.ListModelsResponse(
            models=models,
            default_model=self._repository.default_model,
            max_rows=self._max_rows,
            max_message_bytes=self._max_message_bytes,
        )

    async def get_model(self, request: pb.GetModelRequest, context: Context) -> pb.GetModelResponse:
        """The card of one ready version."""
        version = await self._repository.find_loaded(request.model, request.version)
        card = version.session.card
        message = pb.Card(
            rows=card.rows,
            cols=card.cols,
            pixel_max=card.pixel_max,
            classes=card.classes,
            labels=card.labels,
            layer_widths=card.layer_widths,
            activation=card.activation,
            output_activation=card.output_activation,
            members=card.members,
            parameters=card.parameters,
            pixel_scale=card.pixel_scale,
            pixel_offset=card.pixel_offset,
            preparation=card.preparation,
            recipe_json=json.dumps(card.recipe, sort_keys=True),
            seed=card.seed,
            dataset=card.dataset,
            dataset_sha256=card.dataset_sha256,
            test_rows=card.test_rows,
            accuracy=card.accuracy,
            confusion=[count for row in card.confusion for count in row],
            tolerance=card.tolerance,
            libraries=card.libraries,
            temperature=card.temperature,
            calibration_error=card.calibration_error,
            reliability=[
                pb.ReliabilityBin(images=each.images, mean_score=each.mean_score, accuracy=each.accuracy)
                for each in card.reliability
            ],
            thresholds=card.thresholds,
            outlier_auc=card.outlier_auc,
        )
        return pb.GetModelResponse(model=identity(version), card=message)

    async def get_network(self, request: pb.GetNetworkRequest, context: Context) -> pb.GetNetworkResponse:
        """The shapes of all layers, or one layer with its numbers."""
        version = await self._repository.find_loaded(request.model, request.version)
        card = version.session.card
        count = len(card.layer_widths) - 1
        if request.layer > count:
            raise InvalidInput("layer", f"is {request.layer}, expected 1..{count}, or 0 for the shapes alone")
        if request.member >= card.members:
            raise InvalidInput("member", f"is {request.member}, expected 0..{card.members - 1}")
        if request.layer:  # a megabyte to read and to write: not on the event loop
            layers = [await asyncio.to_thread(_filled_layer, version, request.member, request.layer)]
        else:
            layers = [_layer(card, number) for number in range(1, count + 1)]
        return pb.GetNetworkResponse(model=identity(version), layer_widths=card.layer_widths, layers=layers)


def _version(version: Version) -> pb.ModelVersion:
    message = pb.ModelVersion(version=version.version, state=_STATES[version.state], reason=version.reason)
    message.has_snapshots = version.has_snapshots
    if version.state is State.READY:
        card = version.session.card
        message.rows, message.cols, message.pixel_max = card.rows, card.cols, card.pixel_max
        message.classes.extend(card.classes)
    return message


def _layer(card: Card, number: int) -> pb.NetworkLayer:
    """A layer without its numbers."""
    return pb.NetworkLayer(
        layer=number,
        activation=layer_activation(card, number),
        inputs=card.layer_widths[number - 1],
        neurons=card.layer_widths[number],
    )


def _filled_layer(version: Version, member: int, number: int) -> pb.NetworkLayer:
    """A layer with its numbers from disk, as long as the file is still the one that serves."""
    card = version.session.card
    layer = read_layer(version.read_served(), card, member, number)
    message = _layer(card, number)
    message.weights.extend(layer.weights.ravel().tolist())
    message.biases.extend(layer.biases.tolist())
    return message
