"""What is counted, and how snapshots are added and written."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as infer_pb
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse

from engine.errors import DeadlinePassed, InvalidInput, NotFound, QueueFull
from engine.histogram import TIME_BOUNDS_NS, Histogram
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from service.telemetry.exposition import render
from service.telemetry.metrics import FAMILIES, ROW_BOUNDS, TIME_BOUNDS, Snapshot, add, deep_sum, ended
from tests.support.repositories import place
from tests.support.server import MODELS

STEM = "digits.v1.DigitsService/"
CLASSIFY, STREAM = STEM + "Classify", STEM + "ClassifyStream"
INFER = "inference.GRPCInferenceService/ModelInfer"
MNIST = ("mnist-16x16", "2")
ONE = pb.ClassifyRequest(pixels=bytes(784))


def settings(models: Path = MODELS, **given: object) -> Settings:
    return Settings(models=models, log_level="error", **given)


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with App.open(settings()) as opened:
        yield opened


async def ask(app: App, method: str, request: Message, call: LocalContext | None = None) -> Message:
    return await app.methods[f"/{method}"].handler(request, call or LocalContext())


async def values(app: App, name: str) -> dict[tuple[str, ...], object]:
    """The series of a family by their label values, those that are 0 left out."""
    return {tuple(labels): value for labels, value in (await app.metrics())[name] if value}


async def count(app: App, name: str, *labels: str) -> int:
    """How many observations a series of a histogram has, 0 if there is no such series."""
    histogram = (await values(app, name)).get(labels)
    return sum(histogram["counts"]) if histogram else 0


async def test_calls_are_counted_by_method_model_version_and_status(app):
    """A call that finds no model is its method's, one that finds a model is that model's too, whatever its end."""
    other = pb.ClassifyRequest(model="digits-8x8", pixels=bytes(64))
    for request in (ONE, ONE, other):
        await ask(app, CLASSIFY, request)
    await ask(app, STEM + "ListModels", pb.ListModelsRequest())
    await ask(app, "grpc.health.v1.Health/Check", health_pb2.HealthCheckRequest())
    for method, request, error in (
        (CLASSIFY, pb.ClassifyRequest(pixels=b"x"), InvalidInput),
        (CLASSIFY, pb.ClassifyRequest(model="nobody"), NotFound),
        (STEM + "GetModel", pb.GetModelRequest(model="nobody"), NotFound),
        (INFER, infer_pb.ModelInferRequest(), InvalidInput),
    ):
        with pytest.raises(error):
            await ask(app, method, request)
    counted = {
        (CLASSIFY, *MNIST, "OK"): 2,
        (CLASSIFY, *MNIST, "INVALID_ARGUMENT"): 1,
        (CLASSIFY, "digits-8x8", "1", "OK"): 1,
        (CLASSIFY, "", "", "NOT_FOUND"): 1,
        (INFER, *MNIST, "INVALID_ARGUMENT"): 1,
        (STEM + "ListModels", "", "", "OK"): 1,
        (STEM + "GetModel", "", "", "NOT_FOUND"): 1,
        ("grpc.health.v1.Health/Check", "", "", "OK"): 1,
    }
    assert await values(app, "digits_requests_total") == counted
    assert await count(app, "digits_request_duration_seconds", CLASSIFY, *MNIST) == 3
    assert await count(app, "digits_request_duration_seconds", CLASSIFY, "", "") == 1
    assert await values(app, "digits_requests_in_flight") == {}


async def test_rows_runs_and_times_add_up(app):
    """A run of three rows and one of two: five rows, two runs, two waits."""
    began = time.perf_counter()
    for rows in (3, 2):
        await ask(app, CLASSIFY, pb.ClassifyRequest(pixels=bytes(784 * rows)))
    elapsed = time.perf_counter() - began
    assert await values(app, "digits_rows_total") == {MNIST: 5}
    [batches] = [value for key, value in (await values(app, "digits_batch_rows")).items() if key == MNIST]
    counts = dict(zip((*ROW_BOUNDS, None), batches["counts"], strict=True))
    assert {bound: n for bound, n in counts.items() if n} == {2.0: 1, 4.0: 1}
    assert batches["sum"] == 5
    assert await count(app, "digits_queue_duration_seconds", *MNIST) == 2
    assert await count(app, "digits_inference_duration_seconds", *MNIST) == 2
    total = (await values(app, "digits_request_duration_seconds"))[CLASSIFY, *MNIST]["sum"]
    parts = [(await values(app, f"digits_{part}_duration_seconds"))[MNIST]["sum"] for part in ("queue", "inference")]
    assert 0 < sum(parts) <= total <= elapsed


async def test_a_stream_is_one_call_and_its_messages_are_counted_apart(app):
    """Each by the status that it would have had as a call of its own."""

    async def send() -> AsyncIterator[pb.ClassifyStreamRequest]:
        for request in (ONE, ONE, pb.ClassifyRequest(pixels=b"x"), pb.ClassifyRequest(model="nobody")):
            yield pb.ClassifyStreamRequest(request=request)

    answers = [answer async for answer in app.methods[f"/{STREAM}"].handler(send(), LocalContext())]
    assert len(answers) == 4
    assert await values(app, "digits_requests_total") == {(STREAM, "", "", "OK"): 1}
    assert await values(app, "digits_stream_messages_total") == {
        (STREAM, *MNIST, "OK"): 2,
        (STREAM, *MNIST, "INVALID_ARGUMENT"): 1,
        (STREAM, "", "", "NOT_FOUND"): 1,
    }
    assert await count(app, "digits_stream_message_duration_seconds", STREAM, *MNIST) == 3
    assert await values(app, "digits_rows_total") == {MNIST: 2}


async def test_calls_and_rows_under_way_are_shown(app):
    """In flight while they wait in the queue, and gone when they are answered or given up."""
    batcher = app.repository.find("", "").batcher
    batcher._running = True  # as during a run in a thread: what comes now waits
    tasks = [asyncio.create_task(ask(app, CLASSIFY, pb.ClassifyRequest(pixels=bytes(784 * 2)))) for _ in range(3)]
    await asyncio.sleep(0.01)
    assert await values(app, "digits_requests_in_flight") == {(CLASSIFY,): 3}
    assert await values(app, "digits_queue_rows") == {MNIST: 6}
    tasks[0].cancel()
    batcher._running = False
    batcher._schedule()
    await asyncio.wait(tasks)
    assert await values(app, "digits_requests_in_flight") == {}
    assert await values(app, "digits_queue_rows") == {}
    assert await values(app, "digits_requests_total") == {
        (CLASSIFY, *MNIST, "OK"): 2,
        (CLASSIFY, *MNIST, "CANCELLED"): 1,
    }
    assert await values(app, "digits_deadline_dropped_total") == {}


async def test_refusals_of_a_full_queue_are_counted():
    """Beside their status, which other refusals share."""
    async with App.open(settings(max_batch_rows=4, max_queue_rows=4)) as app:
        batcher = app.repository.find("", "").batcher
        batcher._running = True
        waiting = asyncio.create_task(ask(app, CLASSIFY, pb.ClassifyRequest(pixels=bytes(784 * 4))))
        await asyncio.sleep(0.01)
        for _ in range(2):
            with pytest.raises(QueueFull):
                await ask(app, CLASSIFY, ONE)
        batcher._running = False
        batcher._schedule()
        await waiting
        assert await values(app, "digits_refused_total") == {MNIST: 2}
        assert (await values(app, "digits_requests_total"))[CLASSIFY, *MNIST, "RESOURCE_EXHAUSTED"] == 2


async def test_calls_dropped_for_their_deadline_are_counted_once(app):
    """Late already, late in the queue, and given up there by a front whose timer was faster."""
    with pytest.raises(DeadlinePassed):
        await ask(app, CLASSIFY, ONE, LocalContext(deadline=time.monotonic() - 1))
    batcher = app.repository.find("", "").batcher
    batcher._running = True
    late = time.monotonic() + 0.05
    tasks = [asyncio.create_task(ask(app, CLASSIFY, ONE, LocalContext(deadline=late))) for _ in range(2)]
    await asyncio.sleep(0.06)
    tasks[0].cancel()
    batcher._running = False
    batcher._schedule()
    await asyncio.wait(tasks)
    assert await values(app, "digits_deadline_dropped_total") == {MNIST: 3}
    assert await values(app, "digits_requests_total") == {(CLASSIFY, *MNIST, "DEADLINE_EXCEEDED"): 3}
    assert await values(app, "digits_rows_total") == {}


async def test_models_tell_whether_they_are_ready_what_they_are_and_how_loading_went(tmp_path):
    """A broken version is not ready, its failures are counted, and it has no file to be named."""
    place(tmp_path, *("digits-8x8", 1))
    place(tmp_path, "digits-8x8", 2, broken=True)
    async with App.open(settings(tmp_path)) as app:
        snapshot = await app.metrics()
        assert snapshot["digits_model_ready"] == [[["digits-8x8", "1"], 1], [["digits-8x8", "2"], 0]]
        assert await values(app, "digits_model_load_failures_total") == {("digits-8x8", "2"): 1}
        [(version, seconds)] = (await values(app, "digits_model_load_duration_seconds")).items()
        assert version == ("digits-8x8", "1")
        assert 0 < seconds < 60
        session = app.repository.find("digits-8x8", "1").session
        assert await values(app, "digits_model_info") == {("digits-8x8", "1", session.sha256, session.provider, ""): 1}


async def test_counters_outlive_the_version_they_count(tmp_path):
    """A version that is unloaded, and loaded again, goes on counting where it was."""
    place(tmp_path, "digits-8x8", 1)
    request = pb.ClassifyRequest(pixels=bytes(64))
    version = ("digits-8x8", "1")
    async with App.open(settings(tmp_path, model_control="explicit")) as app:
        await ask(app, CLASSIFY, request)
        await app.repository.unload_model("digits-8x8")
        assert await values(app, "digits_rows_total") == {version: 1}
        assert (await app.metrics())["digits_model_ready"] == [[list(version), 0]]
        assert await values(app, "digits_model_info") == {}
        await app.repository.load_model("digits-8x8")
        await ask(app, CLASSIFY, request)
        assert await values(app, "digits_rows_total") == {version: 2}
        assert await values(app, "digits_requests_total") == {(CLASSIFY, *version, "OK"): 2}


async def test_snapshots_of_processes_can_be_sent_and_added(app):
    """Counts, sums and queues are summed, what describes a model is not, and what ended leaves its counts alone."""
    await ask(app, CLASSIFY, pb.ClassifyRequest(pixels=bytes(784 * 3)))
    one: Snapshot = await app.metrics()
    assert json.loads(json.dumps(one)) == one
    await ask(app, STEM + "ListModels", pb.ListModelsRequest())
    two = await app.metrics()
    total = {name: {tuple(key): value for key, value in series} for name, series in add(one, two).items()}
    assert total["digits_rows_total"][MNIST] == 6
    assert total["digits_batch_rows"][MNIST] == {"counts": [0, 0, 2] + [0] * 15, "sum": 6}
    assert total["digits_requests_total"][STEM + "ListModels", "", "", "OK"] == 1
    assert total["digits_model_ready"][MNIST] == 1
    assert set(total["digits_model_info"].values()) == {1}
    assert total["process_start_time_seconds"][()] == one["process_start_time_seconds"][0][1]
    assert total["process_resident_memory_bytes"][()] > one["process_resident_memory_bytes"][0][1]
    left = add(ended(one), two)
    assert {tuple(key): value for key, value in left["digits_rows_total"]}[MNIST] == 6
    for name in ("digits_queue_rows", "digits_model_info", "process_resident_memory_bytes"):
        assert left[name] == two[name]
    assert add({}, one) == one


@pytest.mark.parametrize(
    ("name", "values_", "merged"),
    [
        ("digits_model_ready", (0, 1), 0),
        ("digits_model_info", (1, 1), 1),
        ("digits_model_load_duration_seconds", (0.5, 2.0), 2.0),
        ("digits_queue_rows", (3, 4), 7),
        ("process_start_time_seconds", (20.0, 10.0), 10.0),
        ("process_max_fds", (1024.0, 1024.0), 1024.0),
        ("process_open_fds", (5.0, 6.0), 11.0),
    ],
)
def test_gauges_of_two_processes_are_merged_as_they_mean(name: str, values_: tuple[float, float], merged: float):
    """A model is ready when it is in every process; what each process has of its own is summed."""
    one, two = ({name: [[["a"], value]]} for value in values_)
    assert add(one, two) == {name: [[["a"], merged]]}
    assert add(one, {name: [[["b"], 1]]}) == {name: [*one[name], [["b"], 1]]}


@pytest.mark.parametrize(
    ("accept", "content_type", "parser"),
    [
        ("", "text/plain; version=0.0.4", parse),
        (
            "application/openmetrics-text; version=1.0.0,text/plain",
            "application/openmetrics-text; version=1.0.0",
            parse_openmetrics,
        ),
    ],
)
async def test_a_snapshot_is_written_as_prometheus_reads_it(app, accept, content_type, parser):
    """In its own format or as OpenMetrics: every family with its type and help, buckets cumulative."""
    await ask(app, CLASSIFY, pb.ClassifyRequest(pixels=bytes(784 * 3)))
    text, told = render(await app.metrics(), accept)
    assert told.startswith(content_type)
    families = {family.name: family for family in parser(text.decode())}
    for name, family in FAMILIES.items():
        stem = name.removesuffix("_total") if family.kind == "counter" else name
        found = families.get(stem) or families[name.removesuffix("_info")]
        assert found.documentation == family.help
        assert found.type == (family.kind if found.name != name or family.kind != "info" else "gauge")
    buckets = {
        sample.labels["le"]: sample.value
        for sample in families["digits_batch_rows"].samples
        if sample.name.endswith("_bucket") and sample.labels["version"] == "2"
    }
    assert [buckets[bound] for bound in ("1.0", "2.0", "4.0", "65536.0", "+Inf")] == [0, 0, 1, 1, 1]


def test_a_time_belongs_to_the_first_bucket_whose_bound_it_does_not_exceed():
    """As `le` says: less or equal."""
    times = Histogram()
    for ns in (0, TIME_BOUNDS_NS[0], TIME_BOUNDS_NS[0] + 1, TIME_BOUNDS_NS[-1] + 1):
        times.add(ns)
    assert (times.counts[0], times.counts[1], times.counts[-1], times.count) == (2, 1, 1, 4)
    assert times.ns == sum((0, TIME_BOUNDS_NS[0], TIME_BOUNDS_NS[0] + 1, TIME_BOUNDS_NS[-1] + 1))
    assert np.all(np.diff(TIME_BOUNDS) > 0)
    assert (TIME_BOUNDS[0], TIME_BOUNDS[-1]) == (1e-5, 10.0)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_names_are_as_prometheus_advises(family):
    """One prefix, base units, `_total` for counters and for nothing else; see prometheus.io/docs/practices/naming."""
    assert family.name.startswith(("digits_", "process_"))
    assert family.name.endswith("_total") == (family.kind == "counter")
    assert family.name.endswith("_info") == (family.kind == "info")
    assert not any(unit in family.name for unit in ("_ms", "_us", "_ns", "_mb", "_millis"))
    assert family.help.endswith(".")
    assert bool(family.bounds) == (family.kind == "histogram")


def test_sums_are_of_what_either_has_at_any_depth():
    """Numbers, mappings of them, and lists place by place."""
    one, other = {"a": 1, "b": {"x": 2, "l": [1, 2]}}, {"b": {"l": [10, 20], "y": 3}, "c": 4}
    assert deep_sum(one, other) == {"a": 1, "b": {"x": 2, "y": 3, "l": [11, 22]}, "c": 4}
    assert deep_sum({"t": 5}, {"t": 3}, max) == {"t": 5}
