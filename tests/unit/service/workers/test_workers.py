"""The parts of several workers: the channel, the crew, the ports, the pauses, the sums."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from digits_protocol.inference import model_repository_pb2 as repository_pb

from engine.cpus import SHARE, usable_cores
from engine.errors import InvalidInput, QueueFull, RateExceeded, ServiceError, error_classes
from engine.statistics import Statistics, Summary
from service.api.method import Mutation
from service.api.middleware.broadcast import Aggregates, broadcast_changes
from service.app import App
from service.config import Settings, SettingsError, read_settings, variables
from service.telemetry.sums import deep_sum
from service.transports.sockets import ListenError, hold, probe
from service.workers.environment import NUMBER, SOCKET
from service.workers.handle import Worker
from service.workers.ipc import AnswerFailed, ChannelClosed, IpcConnection
from service.workers.link import SupervisorLink
from service.workers.pool import WorkerPool
from service.workers.supervisor import Backoff
from tests.support.server import MODELS

Answer = Callable[[str, dict[str, Any]], Awaitable[dict[str, Any] | None]]


@asynccontextmanager
async def connected(one: Answer, other: Answer) -> AsyncIterator[tuple[IpcConnection, IpcConnection]]:
    """Two ends of a channel, each with what it answers by."""
    left, right = socket.socketpair()
    channels = await IpcConnection.open(left, one), await IpcConnection.open(right, other)
    yield channels
    for channel in channels:
        channel.close()


async def nothing(what: str, content: dict[str, Any]) -> None:
    raise AssertionError(f"was asked {what}")


async def echo(what: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"what": what, **content}


async def test_questions_are_answered_each_by_its_own_answer():
    """However many are on their way, in whichever order the answers come, and of any size."""

    async def late(what: str, content: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(content["pause"])
        return content

    async with connected(nothing, late) as (asking, _):
        asked = [asking.ask("wait", pause=pause, text="x" * 200_000) for pause in (0.03, 0.01, 0.02)]
        assert [answer["pause"] for answer in await asyncio.gather(*asked)] == [0.03, 0.01, 0.02]


async def test_who_is_asked_may_ask_back_before_the_answer():
    """As a supervisor does whose worker asks for a change of all."""
    ends: list[IpcConnection] = []

    async def ask_back(what: str, content: dict[str, Any]) -> dict[str, Any]:
        return await ends[1].ask("back", **content)

    async with connected(echo, ask_back) as both:
        ends[:] = both
        assert await both[0].ask("there", number=7) == {"what": "back", "number": 7}


async def test_an_end_that_is_gone_fails_questions_and_what_is_told():
    """Those that wait for an answer as well as later ones."""
    never: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def hold_on(what: str, content: dict[str, Any]) -> dict[str, Any]:
        return await never

    async with connected(nothing, hold_on) as (asking, asked):
        waiting = asyncio.ensure_future(asking.ask("wait"))
        await asyncio.sleep(0.05)
        asked.close()
        with pytest.raises(ChannelClosed):
            await waiting
        await asking.closed
        with pytest.raises(ChannelClosed):
            await asking.ask("again")
        with pytest.raises(ChannelClosed):
            await asking.tell("again")


async def test_an_answer_that_fails_is_an_error_of_its_own_and_the_channel_goes_on():
    """The cause is in the log of who was asked."""

    async def fail_once(what: str, content: dict[str, Any]) -> dict[str, Any]:
        if what == "fail":
            raise KeyError("secret")
        return content

    async with connected(nothing, fail_once) as (asking, _):
        with pytest.raises(AnswerFailed):
            await asking.ask("fail")
        assert await asking.ask("go", on=True) == {"on": True}


class Pretender:
    """A worker as the crew sees it: what it was told to run, and what it has counted."""

    def __init__(self, error: list[str] | None = None) -> None:
        self.ran: list[str] = []
        self.snapshot: dict[str, Any] = {"counters": {}, "latest": {}}
        self.error = error

    async def answer(self, what: str, content: dict[str, Any]) -> dict[str, Any]:
        if what == "snapshot":
            return self.snapshot
        self.ran.append(f"{content['path']} {content['request']}")
        return {"response": "done"} if self.error is None else {"error": self.error}


@asynccontextmanager
async def joined_to(crew: WorkerPool, number: int, worker: Pretender) -> AsyncIterator[IpcConnection]:
    async with connected(nothing, worker.answer) as (channel, _):
        await crew.join(number, channel)
        yield channel
        crew.leave(number)


async def test_only_changes_in_effect_are_repeated_for_a_worker_that_comes_later():
    """The last about each thing; one that takes all of a kind back takes back each of it."""
    crew, first, second = WorkerPool(), Pretender(), Pretender()
    async with joined_to(crew, 1, first):
        await crew.change("unload", "a", ["model", "a"], replay=True)
        await crew.change("unload", "ab", ["model", "ab"], replay=True)
        await crew.change("load", "a", ["model", "a"], replay=False)
        await crew.change("register", "x", ["memory", "x"], replay=True)
        await crew.change("register", "y", ["memory", "y"], replay=True)
        await crew.change("unregister", "", ["memory"], replay=False)
        await crew.change("register", "z", ["memory", "z"], replay=True)
        async with joined_to(crew, 2, second):
            assert second.ran == ["unload ab", "register z"]
            assert await crew.change("load", "ab", ["model", "ab"], replay=False) == {"response": "done"}
            assert first.ran[-1] == second.ran[-1] == "load ab"


async def test_the_error_of_any_worker_is_the_error_of_the_change_and_it_is_not_kept():
    """Those that could are left as they are."""
    crew, third = WorkerPool(), Pretender()
    async with joined_to(crew, 1, Pretender()), joined_to(crew, 2, Pretender(["NotAllowed", "no"])):
        assert await crew.change("unload", "a", ["model", "a"], replay=True) == {"error": ["NotAllowed", "no"]}
        async with joined_to(crew, 3, third):
            assert third.ran == []


async def test_a_worker_that_dies_during_a_change_is_no_hindrance():
    """The others did it, and whoever takes its place is told."""
    crew, successor = WorkerPool(), Pretender()

    async def die(what: str, content: dict[str, Any]) -> None:
        dying.close()
        await asyncio.sleep(60)

    async with joined_to(crew, 1, Pretender()), connected(nothing, die) as (channel, dying):
        await crew.join(2, channel)
        assert await crew.change("unload", "a", ["model", "a"], replay=True) == {"response": "done"}
        crew.leave(2)
        async with joined_to(crew, 2, successor):
            assert successor.ran == ["unload a"]


async def test_what_a_worker_counted_stays_counted_when_it_is_gone():
    """Sums never go backwards; what is of the moment goes with it."""
    crew, first, second = WorkerPool(), Pretender(), Pretender()
    first.snapshot = {"counters": {"model": {"a": {"calls": 3}}}, "latest": {"model": {"a": 70}}, "queued": 9}
    second.snapshot = {"counters": {"model": {"a": {"calls": 4}}}, "latest": {"model": {"a": 60}}, "queued": 1}
    first.snapshot["metrics"] = {"digits_rows_total": [[["a", "1"], 7]], "digits_queue_rows": [[["a", "1"], 5]]}
    async with joined_to(crew, 2, second):
        async with joined_to(crew, 1, first):
            totals = await crew.totals()
            assert totals["workers"] == {"1": first.snapshot, "2": second.snapshot}
        totals = await crew.totals()
        assert totals["workers"] == {"2": second.snapshot}
        assert totals["ended"] == {
            "counters": {"model": {"a": {"calls": 3}}},
            "latest": {"model": {"a": 70}},
            "metrics": {"digits_rows_total": [[["a", "1"], 7]]},
        }
        await crew.change("unload", "", ["model", "a"], replay=True)
        assert (await crew.totals())["ended"] == totals["ended"]


async def test_a_worker_that_does_not_answer_is_counted_by_what_it_told_last(monkeypatch: pytest.MonkeyPatch):
    """Statistics wait for nobody for long."""
    monkeypatch.setattr("service.workers.pool.SNAPSHOT_SECONDS", 0.05)
    crew = WorkerPool()

    async def hang(what: str, content: dict[str, Any]) -> None:
        await asyncio.sleep(60)

    async with connected(nothing, hang) as (channel, _):
        await crew.join(1, channel)
        crew.counted(1, {"counters": {"calls": 5}})
        assert (await crew.totals())["workers"] == {"1": {"counters": {"calls": 5}}}


class Told:
    """Siblings that note what they are asked for."""

    def __init__(self) -> None:
        self.changes: list[tuple[str, bytes, Mutation]] = []

    async def change(self, path: str, request: bytes, change: Mutation) -> bytes:
        self.changes.append((path, request, change))
        return b""

    async def totals(self) -> Aggregates:
        return Aggregates()


async def test_only_calls_that_change_something_go_by_way_of_the_siblings():
    """All others are the very same methods as without any."""
    methods = App(Settings(models=MODELS)).methods
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
        ("nobody", False),
    ):  # a model that does not exist leaves nothing to replay
        request = repository_pb.RepositoryModelUnloadRequest(model_name=name)
        assert await handler(request, None) == repository_pb.RepositoryModelUnloadResponse()
        assert told.changes.pop() == (path, request.SerializeToString(), Mutation(("model", name), replay=replay))
    assert not told.changes


def test_sums_are_of_what_either_has_at_any_depth():
    """Numbers, mappings of them, and lists place by place."""
    one, other = {"a": 1, "b": {"x": 2, "l": [1, 2]}}, {"b": {"l": [10, 20], "y": 3}, "c": 4}
    assert deep_sum(one, other) == {"a": 1, "b": {"x": 2, "y": 3, "l": [11, 22]}, "c": 4}
    assert deep_sum({"t": 5}, {"t": 3}, max) == {"t": 5}
    assert Aggregates() == Aggregates({}, {}, {})


def test_a_summary_is_the_same_after_a_way_through_json():
    """What a worker tells its supervisor."""
    import json

    counted = Statistics()
    counted.ran(3, 10, 20, 30)
    counted.calls["/t.T/One"].failed("InvalidInput", 7)
    counted.calls["/t.T/Two"].times.add(99)
    summary = counted.summary()
    counters = json.loads(json.dumps(summary.counters()))
    assert Summary.of(counters, counted.last_inference_ms) == summary
    assert (summary.success.count, summary.failures["InvalidInput"].ns, summary.rows) == (1, 7, 3)


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

    crew = WorkerPool()

    async def supervise(what: str, content: dict[str, Any]) -> dict[str, Any] | None:
        return await crew.change(**content) if what == "change" else None

    ours, theirs = socket.socketpair()
    monkeypatch.setenv(NUMBER, "1")
    monkeypatch.setenv(SOCKET, str(theirs.detach()))
    channel, control = await IpcConnection.open(ours, supervise), await SupervisorLink.open()
    await control.join(Failing())
    await crew.join(1, channel)
    with pytest.raises(kind) as raised:
        await control.change("/a/B", b"", Mutation(("model", "a"), replay=False))
    assert (type(raised.value), str(raised.value), vars(raised.value)) == (kind, str(error), vars(error))
    await control.leave()
    channel.close()


def test_a_port_that_is_held_is_for_those_alone_that_share_it():
    """A plain server and a second holder are refused, before the workers listen, meanwhile and afterwards."""

    def refused() -> None:
        for take in (probe, hold):
            with pytest.raises(ListenError, match=rf"127.0.0.1:{port} \(--port\): Address already in use"):
                take("127.0.0.1", port, "--port")

    with hold("127.0.0.1", 0, "--port") as held:
        port = held.getsockname()[1]
        refused()
        for _ in range(2):
            with socket.socket() as one, socket.socket() as other:
                for worker in (one, other):
                    worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                    worker.bind(("127.0.0.1", port))
                    worker.listen()
                refused()
                socket.create_connection(("127.0.0.1", port), timeout=5).close()
            refused()
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port), timeout=5)
    probe("127.0.0.1", port, "--port")


def test_pauses_before_a_restart_grow_until_a_worker_has_run_for_long():
    """None, then half a second, doubled up to a limit."""
    backoff = Backoff()
    assert [backoff.seconds(ran=1.0) for _ in range(5)] == [0.0, 0.5, 1.0, 2.0, 4.0]
    assert [backoff.seconds(ran=1.0) for _ in range(20)][-1] == 30.0
    assert [backoff.seconds(ran=100.0), backoff.seconds(ran=1.0)] == [0.0, 0.5]


def test_a_worker_counts_its_share_as_the_cores(monkeypatch: pytest.MonkeyPatch):
    """So that threads of all workers together do not outnumber them."""
    monkeypatch.setenv(SHARE, "3")
    assert usable_cores() == 3


def test_settings_reach_another_process_by_its_environment(monkeypatch: pytest.MonkeyPatch):
    """Every one of them as it was."""
    given = read_settings({"workers": "auto", "reflection": False, "grace_seconds": 0.5, "models": "some/where"})
    assert given.workers == 0
    for name, value in variables(given).items():
        monkeypatch.setenv(name, value)
    assert read_settings({}) == given


def test_an_empty_variable_is_as_if_unset(monkeypatch: pytest.MonkeyPatch):
    """So docker-compose can name every setting and leave the defaults to the service."""
    unset = read_settings({})
    for name in variables(unset):
        monkeypatch.setenv(name, "")
    assert read_settings({}) == unset


@pytest.mark.parametrize("value", ["many", "-1", "257", "1.5"])
def test_a_bad_number_of_workers_is_refused(value: str):
    """With the bounds."""
    with pytest.raises(SettingsError, match=r"--workers \(DIGITS_WORKERS\) is '.*', expected a whole number 0\.\.256"):
        read_settings({"workers": value})


async def test_a_worker_that_does_not_answer_is_killed(monkeypatch: pytest.MonkeyPatch):
    """It runs, and others would wait for it for ever."""
    monkeypatch.setattr("service.workers.handle.LOOK_SECONDS", 0.01)
    monkeypatch.setattr("service.workers.handle.HUNG_SECONDS", 0.2)

    class Sleeper:
        def command(self, settings: Settings) -> tuple[list[str], dict[str, str]]:
            return [sys.executable, "-c", "import time; time.sleep(60)"], {}

    worker = await Worker.start(1, Sleeper(), Settings(), 1, nothing)
    await asyncio.wait_for(worker.watch(), 10)
    assert (await asyncio.wait_for(worker.wait(), 10))["signal"] == "SIGKILL"
