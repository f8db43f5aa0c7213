"""What reaches the other workers by way of the supervisor."""

import socket
from typing import Any

import pytest
from digits_protocol.inference import model_repository_pb2 as repository_pb

from engine.errors import InvalidInput, QueueFull, RateExceeded, ServiceError, error_classes
from service.api.method import Mutation
from service.api.middleware.broadcast import broadcast_changes
from service.app import App
from service.config import Settings
from service.telemetry.metrics import Snapshot
from service.workers.environment import NUMBER, SOCKET
from service.workers.ipc import IpcConnection
from service.workers.link import SupervisorLink
from service.workers.pool import WorkerPool
from tests.support.server import small_models


class Told:
    """Siblings that note what they are asked for."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bytes, Mutation]] = []

    async def change(self, path: str, request: bytes, change: Mutation) -> bytes:
        self.changes.append((path, request, change))
        return b""

    async def totals(self) -> Snapshot:
        return {}


async def test_only_calls_that_change_something_go_by_way_of_the_siblings():
    """All others are the very same methods as without any."""
    methods = App(Settings(models=small_models())).methods
    told = Told()
    through = broadcast_changes(methods, told)
    assert {path.rpartition("/")[2] for path in methods if through[path] is not methods[path]} == {
        "RepositoryModelLoad",
        "RepositoryModelUnload",
        "SystemSharedMemoryRegister",
        "SystemSharedMemoryUnregister",
    }
    path = "/inference.GRPCInferenceService/RepositoryModelUnload"
    handler: Any = through[path].handler
    for name, replay in (
        ("digits-8x8", True),
        ("unknown", False),
    ):  # a model that does not exist leaves nothing to replay
        request = repository_pb.RepositoryModelUnloadRequest(model_name=name)
        assert await handler(request, None) == repository_pb.RepositoryModelUnloadResponse()
        assert told.changes.pop() == (path, request.SerializeToString(), Mutation(("model", name), replay=replay))
    assert not told.changes


ARGUMENTS: dict[type[ServiceError], tuple[Any, ...]] = {
    InvalidInput: ("field", "is bad"),
    QueueFull: ("full", 0.5),
    RateExceeded: ("too often", 0.5),
}


@pytest.mark.parametrize("kind", list(error_classes()))
async def test_an_error_of_any_kind_comes_from_another_worker_as_what_it_is(
    monkeypatch: pytest.MonkeyPatch, kind: type[ServiceError]
):
    """With its sentence and all that it carries, by way of the supervisor."""
    error = kind(*ARGUMENTS.get(kind, ("a sentence",)))

    class Failing:
        async def run(self, path: str, request: bytes) -> bytes:
            raise error

        def snapshot(self) -> dict[str, Any]:
            return {}

    pool = WorkerPool()

    async def supervise(what: str, content: dict[str, Any]) -> dict[str, Any] | None:
        return await pool.change(**content) if what == "change" else None

    ours, theirs = socket.socketpair()
    monkeypatch.setenv(NUMBER, "1")
    monkeypatch.setenv(SOCKET, str(theirs.detach()))
    channel, control = await IpcConnection.open(ours, supervise), await SupervisorLink.open()
    await control.join(Failing())
    await pool.join(1, channel)
    with pytest.raises(kind) as raised:
        await control.change("/a/B", b"", Mutation(("model", "a"), replay=False))
    assert (type(raised.value), str(raised.value), vars(raised.value)) == (kind, str(error), vars(error))
    await control.leave()
    channel.close()
