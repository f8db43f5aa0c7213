"""What is counted."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as infer_pb
from grpc_health.v1 import health_pb2

from engine.errors import DeadlinePassed, InvalidInput, NotFound, QueueFull
from service.api.method import LocalContext
from service.app import App
from service.telemetry.metrics import ROW_BOUNDS
from tests.support.repositories import place
from tests.unit.service.telemetry.counting import (
    CLASSIFY,
    INFER,
    MNIST,
    ONE,
    STEM,
    STREAM,
    ask,
    count,
    settings,
    values,
)


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
