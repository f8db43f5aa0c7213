"""GetLearning: how a network became what it is."""

from digits_protocol.digits.v1 import digits_pb2 as pb

from artifact.snapshots import Snapshots, SnapshotsError, read_snapshots
from engine.errors import InvalidInput, NotReady
from engine.explaining.explainer import Explainer
from engine.models.repository import Repository
from engine.models.version import Version
from service.api.digits.models import identity
from service.api.method import Context

LEARNING = "/digits.v1.DigitsService/GetLearning"

_LARGEST_MIB = 48  # clients take 64 in one answer


class LearningApi:
    """The handler of GetLearning."""

    def __init__(self, repository: Repository, explainer: Explainer) -> None:
        self._repository = repository
        self._explainer = explainer

    async def get_learning(self, request: pb.GetLearningRequest, context: Context) -> pb.GetLearningResponse:
        """The curves of a training, and one layer after each of its snapshots."""
        version = await self._repository.find_loaded(request.model, request.version)
        context.calls = version.statistics.calls[LEARNING]
        card = version.session.card
        count, layer = len(card.layer_widths) - 1, request.layer
        if layer > count:
            raise InvalidInput("layer", f"is {layer}, expected 1..{count}, or 0 for the curves alone")
        if not version.has_snapshots:
            raise InvalidInput(
                "model",
                f"is {version.name}, of whose version {version.version} no snapshots of the training were kept, "
                "expected a version that has a file snapshots.npz",
            )
        snapshots = await self._explainer.run(lambda stop: _read(version, layer), context.deadline)
        response = pb.GetLearningResponse(
            model=identity(version),
            layer_widths=card.layer_widths,
            activation=card.activation,
            temperature=card.temperature or 1.0,
            epochs=snapshots.epochs.tolist(),
            losses=snapshots.losses.tolist(),
            validation_losses=snapshots.validation_losses.tolist(),
            validation_accuracies=snapshots.validation_accuracies.tolist(),
        )
        if layer:
            [weights], [biases] = snapshots.weights, snapshots.biases
            response.weights = weights.astype("<f2").tobytes()
            response.biases = biases.astype("<f2").tobytes()
        return response


def _read(version: Version, layer: int) -> Snapshots:
    """The curves of a version's training, and with `layer` above 0 the snapshots of that layer alone.

    Raises `NotReady` for a file that cannot be read or is not of this network, and `InvalidInput` for a layer that is
    too large for an answer.
    """
    name = f"{version.folder.snapshots.name} of {version.name} version {version.version}"
    try:
        if not version.folder.snapshots.is_file():  # a pipe would be waited for
            raise SnapshotsError("no file")
        snapshots = read_snapshots(version.folder.snapshots, 0)
        if not layer:
            return snapshots
        inputs, neurons = version.session.card.layer_widths[layer - 1 : layer + 1]
        mib = 2 * snapshots.epochs.size * inputs * neurons / 2**20
        if mib > _LARGEST_MIB:
            raise InvalidInput(
                "layer",
                f"is {layer}, whose snapshots have {mib:.0f} MiB, expected one of at most {_LARGEST_MIB} MiB",
            )
        snapshots = read_snapshots(version.folder.snapshots, layer)
    except SnapshotsError:
        raise NotReady(f"{name} cannot be read") from None
    if snapshots.weights[0].shape[1:] != (inputs, neurons):
        raise NotReady(f"{name} is of another network than the one that serves")
    return snapshots
