"""What this process has counted as a snapshot, and the statistics of versions that follow from one."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from engine.errors import QueueFull
from engine.histogram import Histogram
from engine.models.repository import Repository
from engine.models.version import State, Version
from engine.statistics import Calls, Statistics, Summary
from service.api.errors import code_name
from service.api.method import Kind, Methods
from service.telemetry.metrics import LAST_INFERENCE, ROW_BOUNDS, STATISTICS, Snapshot

# What counts the calls of a method on a version: (path, its own, model, version).
_Counted = tuple[str, Calls, str, str]


class MetricsCollector:
    """Gathers what was counted, whenever it is asked for; the calls pay nothing for that."""

    def __init__(self, methods: Methods, repository: Repository) -> None:
        self._methods = methods
        self._repository = repository

    def snapshot(self) -> Snapshot:
        """Everything but the figures of the process itself."""
        calls, messages = list(self._calls()), list(self._messages())
        count_calls = list(self._statistics())
        versions = list(self._repository.versions())
        return {
            "digits_requests_total": _codes(calls),
            "digits_request_duration_seconds": _durations(calls),
            "digits_requests_in_flight": [
                [[_name(path)], method.counts.in_flight] for path, method in self._methods.items()
            ],
            "digits_stream_messages_total": _codes(messages),
            "digits_stream_message_duration_seconds": _durations(messages),
            "digits_queue_duration_seconds": [[labels, _times(each.queue)] for labels, each in count_calls],
            "digits_inference_duration_seconds": [[labels, _times(each.compute_infer)] for labels, each in count_calls],
            "digits_batch_rows": [[labels, _batches(each)] for labels, each in count_calls],
            "digits_rows_total": [[labels, each.rows] for labels, each in count_calls],
            "digits_queue_rows": [
                [[version.name, version.version], version.loaded_batcher.queued_rows]
                for version in versions
                if version.loaded_batcher is not None
            ],
            "digits_refused_total": self._refused(count_calls),
            "digits_deadline_dropped_total": [[labels, each.dropped] for labels, each in count_calls],
            "digits_model_ready": [[[version.name, version.version], int(version.answers)] for version in versions],
            "digits_model_load_duration_seconds": [
                [labels, each.load_seconds] for labels, each in count_calls if each.load_seconds
            ],
            "digits_model_load_failures_total": [[labels, each.load_failures] for labels, each in count_calls],
            "digits_model_info": [
                [
                    [
                        version.name,
                        version.version,
                        version.session.sha256,
                        version.session.provider,
                        version.folder.variant,
                    ],
                    1,
                ]
                for version in versions
                if version.state is State.READY
            ],
            STATISTICS: [[labels, each.summary().counters()] for labels, each in count_calls],
            LAST_INFERENCE: [[labels, each.last_inference_ms] for labels, each in count_calls],
        }

    def _statistics(self) -> Iterator[tuple[list[str], Statistics]]:
        for (name, number), statistics in self._repository.statistics.items():
            yield [name, str(number)], statistics

    def _calls(self) -> Iterator[_Counted]:
        """Of each method: its calls that are of no model, and for unary ones those of each version."""
        for path, method in self._methods.items():
            yield path, method.counts.calls, "", ""
            if method.kind is Kind.UNARY:
                yield from self._of_versions(path)

    def _messages(self) -> Iterator[_Counted]:
        """The same for the messages of streams."""
        for path, method in self._methods.items():
            if method.kind is Kind.STREAM:
                yield path, method.counts.messages, "", ""
                yield from self._of_versions(path)

    def _of_versions(self, path: str) -> Iterator[_Counted]:
        for (name, version), statistics in self._statistics():
            if path in statistics.calls:
                yield path, statistics.calls[path], name, version

    def _refused(self, count_calls: Iterable[tuple[list[str], Statistics]]) -> list[Any]:
        early = sum(_refusals(method.counts.calls) for method in self._methods.values())
        late = [[labels, sum(map(_refusals, each.calls.values()))] for labels, each in count_calls]
        return [[["", ""], early], *late]


def _refusals(calls: Calls) -> int:
    timer = calls.failures.get(QueueFull.__name__)
    return 0 if timer is None else timer.count


def _name(path: str) -> str:
    """`digits.v1.DigitsService/Classify`."""
    return path.removeprefix("/")


def _codes(count_calls: Iterable[_Counted]) -> list[Any]:
    series = []
    for path, calls, model, version in count_calls:
        codes = Counter({"OK": calls.success.count} if calls.success.count else {})
        for reason, timer in calls.failures.items():
            codes[code_name(reason)] += timer.count
        series += [[[_name(path), model, version, code], count] for code, count in codes.items()]
    return series


def _durations(count_calls: Iterable[_Counted]) -> list[Any]:
    return [
        [[_name(path), model, version], _times(calls.times)]
        for path, calls, model, version in count_calls
        if calls.times.count
    ]


def _times(times: Histogram) -> dict[str, Any]:
    return {"counts": list(times.counts), "sum": times.ns / 1e9}


def _batches(statistics: Statistics) -> dict[str, Any]:
    """Runs by the bucket that their rows belong to."""
    counts = [0] * (len(ROW_BOUNDS) + 1)
    for rows, timer in list(statistics.batches.items()):
        counts[(rows - 1).bit_length()] += timer.count
    return {"counts": counts, "sum": statistics.rows}


def summarize(versions: Iterable[Version], snapshot: Snapshot) -> list[Summary]:
    """What was counted for each of `versions`, by all processes of the snapshot together."""
    counters = {tuple(labels): value for labels, value in snapshot.get(STATISTICS, ())}
    latest = {tuple(labels): value for labels, value in snapshot.get(LAST_INFERENCE, ())}
    return [
        Summary.of(counters[key], latest[key])
        if (key := (version.name, version.version)) in counters
        else version.statistics.summary()  # found after the snapshot was taken
        for version in versions
    ]
