"""The model repository by the Open Inference Protocol: what there is, loading and unloading."""

from contextlib import suppress

from digits_protocol.inference import model_repository_pb2 as pb

from engine.errors import WORD, InvalidInput, NotFound, NotSupported, quoted
from engine.models.repository import Repository
from engine.models.version import State
from service.api.method import Context, Mutation

_STATES = {
    State.LOADING: "LOADING",
    State.READY: "READY",
    State.FAILED: "UNAVAILABLE",
    State.UNLOADED: "UNAVAILABLE",
    State.ON_DEMAND: "UNAVAILABLE",
}


class ModelControlApi:
    """The handlers of RepositoryIndex, RepositoryModelLoad and RepositoryModelUnload."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository

    async def repository_index(
        self, request: pb.RepositoryIndexRequest, context: Context
    ) -> pb.RepositoryIndexResponse:
        """All versions, or those that are ready."""
        _check_repository(request.repository_name)
        return pb.RepositoryIndexResponse(
            models=[
                pb.RepositoryIndexResponse.ModelIndex(
                    name=name, version=version.version, state=_STATES[version.state], reason=version.reason
                )
                for name, versions in sorted(self._repository.models.items())
                for version in versions
                if version.state is State.READY or not request.ready
            ]
        )

    async def load(self, request: pb.RepositoryModelLoadRequest, context: Context) -> pb.RepositoryModelLoadResponse:
        """Load what is new or changed of a model."""
        _check_repository(request.repository_name)
        for key in request.parameters:
            if key == "config" or key.startswith("file:"):
                raise InvalidInput(
                    f"parameters[{key[:WORD]}]",
                    "is set, and models are loaded as they lie on disk, with no other content",
                )
        await self._repository.load_model(request.model_name)
        return pb.RepositoryModelLoadResponse()

    async def unload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """Let a model go; one that does not exist is gone already, as Triton has it."""
        _check_repository(request.repository_name)
        with suppress(NotFound):
            await self._repository.unload_model(request.model_name)
        return pb.RepositoryModelUnloadResponse()

    def change_by_unload(self, request: pb.RepositoryModelUnloadRequest) -> Mutation:
        """It holds until the model is loaded again; of a model that does not exist nothing is to be remembered."""
        return Mutation(("model", request.model_name), replay=request.model_name in self._repository.models)


def change_by_load(request: pb.RepositoryModelLoadRequest) -> Mutation:
    """A process that starts later loads every model by itself."""
    return Mutation(("model", request.model_name), replay=False)


def _check_repository(name: str) -> None:
    if name:
        raise NotSupported(f"repository_name is {quoted(name)}: there is one repository, and it has no name")
