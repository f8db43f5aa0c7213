"""What is exported to Prometheus: the families, and snapshots of them that can be added.

Counting happens elsewhere, in plain integers. A snapshot is a plain value that JSON can hold,

    {"digits_rows_total": [[["mnist-16x16", "2"], 1024]],
     "digits_batch_rows": [[["mnist-16x16", "2"], {"counts": [0, 3, …], "sum": 1024}]]}

family by family, label values and value for each series, so that those of several processes can be sent
to one place and added there. `service.telemetry.exposition` writes one as text. The statistics of the Open Inference
Protocol travel in the same snapshots.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engine.histogram import TIME_BOUNDS_NS

# A number, {"counts": [one for each bucket, not cumulative], "sum": number}, or the counters of a `Summary`.
Value = Any
Snapshot = dict[str, list[list[Any]]]

TIME_BOUNDS = tuple(ns / 1e9 for ns in TIME_BOUNDS_NS)
"""Upper bounds in seconds."""
ROW_BOUNDS = tuple(float(2**power) for power in range(17))
"""Upper bounds in rows: 1, 2, 4, … 65536, which no batch exceeds."""


@dataclass(frozen=True, slots=True)
class Family:
    """One metric, with labels."""

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    labels: tuple[str, ...]
    help: str
    bounds: tuple[float, ...] = ()
    """Of a histogram: upper bounds of its buckets, the last one, infinity, left out."""
    merge: Callable[[float, float], float] = operator.add
    """Makes one number of those of two processes; in lists and mappings item by item."""


_VERSION = ("model", "version")
_CALL = ("method", *_VERSION)

FAMILIES = {
    family.name: family
    for family in (
        Family(
            "digits_requests_total",
            "counter",
            (*_CALL, "code"),
            "Calls ended, by gRPC status code; a stream is one. model and version are those that scored, or empty.",
        ),
        Family(
            "digits_request_duration_seconds",
            "histogram",
            _CALL,
            "Time of a call from its handler's entry to its end, however it ended.",
            TIME_BOUNDS,
        ),
        Family(
            "digits_requests_in_flight",
            "gauge",
            ("method",),
            "Calls and streams whose handler was entered and has not ended.",
        ),
        Family(
            "digits_stream_messages_total",
            "counter",
            (*_CALL, "code"),
            "Messages of streams answered, by the gRPC status code each would have had as a call.",
        ),
        Family(
            "digits_stream_message_duration_seconds",
            "histogram",
            _CALL,
            "Time of a stream's message from being read to its answer, waiting for room in the queue included.",
            TIME_BOUNDS,
        ),
        Family(
            "digits_queue_duration_seconds",
            "histogram",
            _VERSION,
            "Time a call or message waited in the queue until its run began.",
            TIME_BOUNDS,
        ),
        Family(
            "digits_inference_duration_seconds",
            "histogram",
            _VERSION,
            "Time of a run of onnxruntime, each of one batch.",
            TIME_BOUNDS,
        ),
        Family("digits_batch_rows", "histogram", _VERSION, "Images in a run.", ROW_BOUNDS),
        Family("digits_rows_total", "counter", _VERSION, "Images scored."),
        Family("digits_queue_rows", "gauge", _VERSION, "Images waiting in the queue now."),
        Family(
            "digits_refused_total",
            "counter",
            _VERSION,
            "Calls refused because a queue was full; with no model: because too many bytes of requests were pending.",
        ),
        Family(
            "digits_deadline_dropped_total",
            "counter",
            _VERSION,
            "Calls dropped, not run, because their deadline had passed by the time the queue came to them.",
        ),
        Family("digits_model_ready", "gauge", _VERSION, "1 if the version answers, 0 if it does not (yet).", merge=min),
        Family(
            "digits_model_load_duration_seconds",
            "gauge",
            _VERSION,
            "Time of the last load that went well, golden rows included.",
            merge=max,
        ),
        Family(
            "digits_model_load_failures_total",
            "counter",
            _VERSION,
            "Loads that failed, or whose golden rows did not reproduce.",
        ),
        Family(
            "digits_model_info",
            "info",
            (*_VERSION, "sha256", "provider", "variant"),
            "1 for each version that is ready, with the file and the execution provider it runs on.",
            merge=max,
        ),
        Family("process_cpu_seconds_total", "counter", (), "CPU time of the server, user and system."),
        Family("process_resident_memory_bytes", "gauge", (), "Resident memory."),
        Family("process_virtual_memory_bytes", "gauge", (), "Virtual memory."),
        Family("process_open_fds", "gauge", (), "Open file descriptors."),
        Family("process_max_fds", "gauge", (), "File descriptors that a process may open.", merge=min),
        Family(
            "process_start_time_seconds", "gauge", (), "When the oldest process started, seconds since 1970.", merge=min
        ),
    )
}
"""Every exported metric by its name."""

STATISTICS, LAST_INFERENCE = "statistics", "last_inference_ms"
_ADDED = FAMILIES | {
    STATISTICS: Family(STATISTICS, "counter", _VERSION, "`engine.statistics.Summary.counters`."),
    LAST_INFERENCE: Family(LAST_INFERENCE, "counter", _VERSION, "`Summary.last_inference_ms`.", merge=max),
}


def add(a: Snapshot, b: Snapshot) -> Snapshot:
    """The snapshot of two processes together."""
    total: Snapshot = {}
    for name, family in _ADDED.items():
        if name not in a and name not in b:
            continue
        series: dict[tuple[str, ...], Value] = {}
        for labels, value in (*a.get(name, ()), *b.get(name, ())):
            key = tuple(labels)
            series[key] = deep_sum(series[key], value, family.merge) if key in series else value
        total[name] = [[list(labels), value] for labels, value in series.items()]
    return total


def ended(snapshot: Snapshot) -> Snapshot:
    """What is left of a process that has ended: what it counted, not how it stood."""
    return {name: series for name, series in snapshot.items() if _ADDED[name].kind in ("counter", "histogram")}


def deep_sum(one: Any, other: Any, join: Callable[[Any, Any], Any] = operator.add) -> Any:
    """`one` and `other` put together: numbers by `join`, mappings key by key, lists place by place.

    A key of only one mapping keeps its value.
    """
    if isinstance(one, Mapping):
        missing = {key: value for key, value in other.items() if key not in one}
        return {
            key: deep_sum(value, other[key], join) if key in other else value for key, value in one.items()
        } | missing
    if isinstance(one, list):
        return [deep_sum(mine, theirs, join) for mine, theirs in zip(one, other, strict=True)]
    return join(one, other)
