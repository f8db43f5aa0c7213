"""The parts of a run. Each starts its servers together and measures them in turns, round after round.

A round's figures are seconds apart, so that its ratios hold on a machine whose load changes. A server that does not
start, or answers wrongly, is named with the end of its log and left out.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.load import client_process
from benchmarks.load.client_process import Concurrency, LoadResult
from benchmarks.load.h2load import FailedCallsError
from benchmarks.load.requests import LARGE, MODEL, WrongAnswerError, infer, infer_rest
from benchmarks.load.rounds import Target
from benchmarks.peers.entries import PEERS, TRITON, Entry, echoes, ours, triton_large
from benchmarks.peers.install import InstallError
from benchmarks.peers.results import MachineResults, ServerResult
from benchmarks.servers import digits_server
from benchmarks.servers.baseline import onnxruntime_alone
from benchmarks.servers.process import ProcessMemory, RunningServer, StartError, run_server

Shapes = dict[int, tuple[Concurrency, ...]]
ALONE = Concurrency(1, 1)
_LARGE_CALLS = (Concurrency(2, 4), Concurrency(4, 8))
SATURATED: Shapes = {
    1: (ALONE, Concurrency(4, 32), Concurrency(8, 64), Concurrency(8, 96)),
    32: (Concurrency(4, 8), Concurrency(8, 16)),
    256: _LARGE_CALLS,
    1024: _LARGE_CALLS,
}
"""Images a call -> how many calls are in flight; of a server's rates the best counts.

Never a thousand: beyond that grpc's own servers begin to cancel calls at random (`grpc.server.max_pending_requests`).
"""
REST: Shapes = {
    1: (ALONE, Concurrency(32, 1), Concurrency(64, 1), Concurrency(128, 1)),
    256: (Concurrency(8, 1), Concurrency(16, 1)),
}
"""The same over REST, where a connection of HTTP/1.1 has one call at a time."""
LARGE_MODEL: Shapes = {1: (ALONE, Concurrency(4, 32)), 32: _LARGE_CALLS, 256: _LARGE_CALLS}
FRACTIONS = (0.1, 0.25, 0.5, 0.75)
"""The fixed rates, as fractions of the rate that saturates Triton."""
PACED_CONNECTIONS = 8
PACED_SECONDS = 2
"""Times the seconds of other figures."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Run:
    """What all parts of a run share."""

    results: MachineResults
    seconds: float
    """Of load, for each figure in each round."""
    say: Say
    finished: Callable[[], None]
    """Called after each round, whose results are to be kept."""


@dataclass(frozen=True)
class Contender:
    """A running server, its targets by images a call, and how it started."""

    server: RunningServer
    targets: dict[int, Target]
    started: ServerResult


def saturated(run: Run, rounds: int) -> None:
    """Every server with as many calls as it can take, of 1 to 1,024 images; start and memory."""
    entries = [*ours(), *echoes(list(SATURATED)), *PEERS]
    with _contenders(run, "saturated", entries, SATURATED) as found:
        for _ in range(rounds):
            _saturate(run, "saturated", found, SATURATED)
            for contender in found:
                _remember_memory(contender)
            run.finished()


def large(run: Run, rounds: int) -> None:
    """The same with `mnist-large`, where the model counts."""
    with _contenders(run, "large", [*ours(LARGE), triton_large()], LARGE_MODEL) as found:
        for _ in range(rounds):
            _saturate(run, "large", found, LARGE_MODEL)
            run.finished()


def rest(run: Run, rounds: int) -> None:
    """Over REST, those that have it with binary tensors."""
    entries = [replace(each, request=infer_rest) for each in (*ours(), PEERS[0])]
    with _contenders(run, "rest", entries, REST) as found:
        for _ in range(rounds):
            _saturate(run, "rest", found, REST)
            run.finished()


def rates(run: Run, rounds: int) -> None:
    """An open loop at the same rates for all, see `benchmarks.load.client`.

    A server is not asked at a rate that it did not reach when it was saturated.
    """
    results = run.results
    reference = results.best("saturated", TRITON, 1)
    if reference is None:
        raise SystemExit("the rates are fractions of what saturates Triton: run --part saturated first")
    with _contenders(run, "rates", [*ours(), PEERS[0]], {1: ()}) as found:
        for _ in range(rounds):
            number = results.next_round()
            for fraction in FRACTIONS:
                rate = round(fraction * results.median(reference), -2)
                for contender in found:
                    name = contender.server.name
                    best = results.best("saturated", name, 1)
                    if best is not None and rate <= results.median(best):
                        key = ("rates", name, 1, f"{rate:,.0f}/s")
                        _measure(run, key, number, lambda c=contender, r=rate: _paced(c.targets[1], r, run.seconds))
            run.finished()


PARTS = {"saturated": saturated, "rates": rates, "rest": rest, "large": large}


def _saturate(run: Run, part: str, found: list[Contender], shapes: Shapes) -> None:
    number = run.results.next_round()
    for rows, concurrencies in shapes.items():
        model = LARGE if part == "large" else MODEL
        run.results.floors.setdefault((part, rows), []).append(onnxruntime_alone(rows, min(0.5, run.seconds), model))
        for shape in concurrencies:
            for contender in found:
                target = contender.targets.get(rows)
                if target is not None:
                    key = (part, contender.server.name, rows, str(shape))
                    _measure(run, key, number, lambda t=target, s=shape, k=key: _full(run, t, s, k))


def _measure(run: Run, key: tuple[str, str, int, str], number: int, load: Callable[[], LoadResult]) -> None:
    part, server, rows, shape = key
    name = f"{server}, calls of {rows}, {shape}, {part}"
    try:
        run.results.loads.setdefault(key, {})[number] = load()
        run.results.left_out.pop(name, None)
    except FailedCallsError as error:
        if not run.results.loads[key]:
            del run.results.loads[key]
        run.results.left_out[name] = str(error)


def _full(run: Run, target: Target, shape: Concurrency, key: tuple[str, str, int, str]) -> LoadResult:
    """About `seconds` of load, by what is known of the rate; the first time, and cold, a few calls tell."""
    known = list(run.results.loads.get(key, {}).values())

    def load(calls: int) -> LoadResult:
        return client_process.saturate(
            target.port, target.request, shape, calls=calls, answer_bytes=target.answer_bytes
        )

    warm = load(20 + 2 * shape.connections * shape.streams)
    return load(max(1, round((known[-1] if known else warm).calls_per_second * run.seconds)))


def _paced(target: Target, rate: float, seconds: float) -> LoadResult:
    return client_process.open_loop(
        target.port, target.request, rate=rate, seconds=PACED_SECONDS * seconds, connections=PACED_CONNECTIONS
    )


@contextmanager
def _contenders(run: Run, part: str, entries: Iterable[Entry], sizes: Iterable[int]) -> Iterator[list[Contender]]:
    """The servers that start and answer; `left_out` has the others."""
    left_out = run.results.left_out
    with ExitStack() as stack:
        running: list[tuple[Entry, RunningServer]] = []
        for entry in entries:
            run.say(f"starting {entry.name}")
            scratch = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            try:
                running.append((entry, stack.enter_context(_started(entry, scratch))))
                left_out.pop(entry.name, None)
            except (InstallError, StartError) as error:
                run.say(f"{entry.name} is left out: {error}")
                left_out[entry.name] = str(error)
        yield [_contender(run, part, entry, server, sizes) for entry, server in running]


def _contender(run: Run, part: str, entry: Entry, server: RunningServer, sizes: Iterable[int]) -> Contender:
    """Once all have started, so that all share with one another what they can, and their HTTP side listens too."""
    started = ServerResult(server.ready_seconds, **asdict(server.memory()))
    if part == "saturated":
        run.results.servers.setdefault(entry.name, []).append(started)
    targets = {}
    for rows in sizes:
        name = f"{entry.name}, calls of {rows}, {part}"
        try:
            targets[rows] = Target.check(server, entry.request(rows))
            run.results.left_out.pop(name, None)
        except (WrongAnswerError, ConnectionError) as error:
            run.results.left_out[name] = str(error)
    return Contender(server, targets, started)


@contextmanager
def _started(entry: Entry, scratch: Path) -> Iterator[RunningServer]:
    """Ready is the first right answer by gRPC, also where REST is measured."""
    request = entry.request(1)
    probe = request if request.rest is None else infer(1)
    with run_server(entry.prepare(scratch), probe, digits_server.LOGS) as server:
        yield server


def _remember_memory(contender: Contender) -> None:
    now: ProcessMemory = contender.server.memory()
    contender.started.private_after_mb, contender.started.pss_after_mb = now.private_mb, now.pss_mb
