"""The request parameter `timeout` of the Open Inference Protocol: a deadline, where it is the sooner one."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import DeadlinePassed
from engine.models.session import InferenceResult
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.server import small_models
from tests.unit.service.api.fast_path_equivalence import answer_by_fast_path
from tests.unit.service.api.open_inference.calls import MNIST, STEM, ask, raw, set_parameters, stream, typed

ONE = np.zeros((1, 784), np.uint8)
HOUR = 3_600_000_000
"""In microseconds, the unit of the parameter."""
PATIENCE_SECONDS = 60


@pytest.fixture
async def app():
    async with App.open(Settings(models=small_models(), log_level="error", inline_us=0)) as opened:
        yield opened


def timed(microseconds: int, request: pb.ModelInferRequest | None = None) -> pb.ModelInferRequest:
    request = request or raw(ONE)
    set_parameters(request, timeout=microseconds)
    return request


async def by_handler(app: App, request: pb.ModelInferRequest, call: LocalContext) -> Any:
    return await app.methods[STEM + "ModelInfer"].handler(request, call)


async def quickly(app: App, request: pb.ModelInferRequest, call: LocalContext) -> Any:
    answer = await answer_by_fast_path(app.methods[STEM + "ModelInfer"], request.SerializeToString(), 0, call)
    assert answer is not None
    return answer


async def in_a_stream(app: App, request: pb.ModelInferRequest, call: LocalContext) -> Any:
    [answer] = await stream(app, [request])
    if "deadline" in answer.error_message:
        raise DeadlinePassed(answer.error_message)
    assert not answer.error_message
    return answer


ways = pytest.mark.parametrize("way", [by_handler, quickly, in_a_stream])
unary = pytest.mark.parametrize("way", [by_handler, quickly])


@asynccontextmanager
async def busy(app: App) -> AsyncIterator[list[int]]:
    """The model is in a run that lasts as long as this; the rows of those that begin are noted."""
    batcher = app.repository.find(MNIST, "").batcher
    run, begun, go_on, rows = batcher._run, threading.Event(), threading.Event(), []

    def slow(pixels: np.ndarray, hidden: bool, warnings: bool) -> InferenceResult:
        rows.append(len(pixels))
        begun.set()
        go_on.wait()
        return run(pixels, hidden, warnings)

    batcher._run = slow
    first = asyncio.ensure_future(by_handler(app, raw(np.zeros((3, 784), np.uint8)), LocalContext()))
    await asyncio.to_thread(begun.wait)
    try:
        yield rows
    finally:
        go_on.set()
        await first


@ways
async def test_a_request_whose_time_has_passed_ends_and_is_never_run(app, way):
    """While the run before it still goes on, which it would have waited for; the call itself had no deadline."""
    statistics = app.repository.find(MNIST, "").statistics
    async with busy(app) as rows:
        with pytest.raises(DeadlinePassed):
            await asyncio.wait_for(way(app, timed(1000), LocalContext()), PATIENCE_SECONDS)
    await by_handler(app, raw(np.zeros((2, 784), np.uint8)), LocalContext())
    assert rows == [3, 2]
    assert statistics.failures["DeadlinePassed"].count == 1
    assert statistics.dropped == 1


@ways
async def test_one_that_has_time_waits_for_its_turn(app, way):
    """And is answered as without a timeout."""
    async with busy(app) as rows:
        waiting: Awaitable[Any] = asyncio.ensure_future(way(app, timed(HOUR), LocalContext()))
        await asyncio.sleep(0)
    await waiting
    assert rows == [3, 1]


@unary
async def test_the_sooner_of_both_is_the_deadline_of_the_call(app, way):
    """Of the request's own and the one that the call came with."""
    began = time.monotonic()
    for microseconds, own, least, most in (
        (HOUR, None, 3600, 3700),
        (HOUR, began + 60, 60, 60),
        (HOUR, began + 7200, 3600, 3700),
    ):
        call = LocalContext(deadline=own)
        await way(app, timed(microseconds), call)
        assert call.deadline is not None
        assert least - 1e-6 <= call.deadline - began <= most + 1e-6
    with pytest.raises(DeadlinePassed):
        await way(app, timed(HOUR), LocalContext(deadline=began))


@unary
@pytest.mark.parametrize("microseconds", [0, -1, -(2**63)])
async def test_nothing_and_less_bounds_nothing(app, way, microseconds):
    """As Triton has it."""
    call = LocalContext()
    await way(app, timed(microseconds), call)
    assert call.deadline is None


async def test_the_longest_timeout_is_no_error(app):
    """Nor is it reached."""
    await ask(app, "ModelInfer", timed(2**63 - 1), fast_path=True)
    await ask(app, "ModelInfer", timed(2**63 - 1, typed(ONE)), fast_path=False)


@pytest.mark.parametrize("value", [0, 1, -1, 2**40, "first", True])
async def test_a_priority_changes_nothing(app, value):
    """No model has levels of it."""
    request = raw(ONE)
    set_parameters(request, priority=value)
    await ask(app, "ModelInfer", request, fast_path=True)


async def test_each_message_of_a_stream_has_its_own(app):
    """One whose time passes does not end the others."""
    async with busy(app):
        answering = asyncio.ensure_future(stream(app, [timed(HOUR), timed(1000), raw(ONE)]))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not app.repository.find(MNIST, "").statistics.failures:  # noqa: ASYNC110 - counted at its end
                await asyncio.sleep(0.001)
    answers = await answering
    assert [bool(answer.error_message) for answer in answers] == [False, True, False]
