"""The handlers without a transport: what they raise, and what the one table makes of it."""

import time

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo

from service.api.errors import CODES, translate
from service.api.methods import Call
from service.app import App
from service.config import Settings
from service.runtime.errors import DeadlinePassed, InvalidInput, NotReady, QueueFull, RunFailed, ServiceError
from stubs.digits.v1 import digits_pb2 as pb
from tests.harness import MODELS

CLASSIFY = "/digits.v1.DigitsService/Classify"
ONE = pb.ClassifyRequest(pixels=bytes(784))


def settings(**given) -> Settings:
    return Settings(models=MODELS, log_level="error", **given)


async def test_a_deadline_already_past_is_never_run():
    """The handler raises what becomes DEADLINE_EXCEEDED, and onnxruntime is not troubled."""
    async with App.open(settings()) as app:
        version = app.repository.find("", "")
        runs = []
        version.session.run = lambda *a, **k: runs.append(a)
        with pytest.raises(DeadlinePassed) as raised:
            await app.methods[CLASSIFY].handler(ONE, Call(deadline=time.monotonic() - 0.001))
        assert translate(raised.value, CLASSIFY).code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert not runs


async def test_before_and_after_serving_calls_are_unavailable():
    """While the models load, and once the server drains; both say so."""
    app = App(settings())
    with pytest.raises(NotReady, match="no version of model mnist-16x16 is ready: the model is being loaded"):
        await app.methods[CLASSIFY].handler(ONE, Call())
    await app.load()
    assert len((await app.methods[CLASSIFY].handler(ONE, Call())).predictions) == 1
    app.drain()
    with pytest.raises(NotReady, match="the server is draining") as raised:
        await app.methods[CLASSIFY].handler(ONE, Call())
    assert translate(raised.value, CLASSIFY).code is grpc.StatusCode.UNAVAILABLE
    app.close()


async def test_a_run_that_fails_is_internal_and_keeps_its_words_to_the_log(capsys):
    """The client learns that onnxruntime failed, not where and why."""
    async with App.open(settings()) as app:
        batcher = app.repository.find("", "").batcher

        def burn(pixels, hidden):
            raise RuntimeError("secret path /etc")

        batcher._run = burn
        with pytest.raises(RunFailed) as raised:
            await app.methods[CLASSIFY].handler(ONE, Call())
    failure = translate(raised.value, CLASSIFY)
    assert failure.code is grpc.StatusCode.INTERNAL
    assert "secret" not in failure.message


def test_every_error_of_the_runtime_has_its_status():
    """A new one cannot be forgotten."""
    assert {*ServiceError.__subclasses__(), *QueueFull.__subclasses__()} == set(CODES)


def test_details_go_with_the_errors_that_have_them():
    """BadRequest for bad input, RetryInfo and the pushback for a full queue, nothing else."""
    bad = translate(InvalidInput("pixels", "is odd"), CLASSIFY)
    assert [type(detail) for detail in bad.details] == [BadRequest]
    full = translate(QueueFull("full", retry_after=0.0421), CLASSIFY)
    assert [type(detail) for detail in full.details] == [RetryInfo]
    assert full.trailers == {"grpc-retry-pushback-ms": "42"}
    assert not translate(NotReady("later"), CLASSIFY).details


def test_no_sentence_outgrows_the_headers_it_travels_in():
    """However long what a client wrote, whose words an error may repeat: clients take 8 KiB of trailers."""
    failure = translate(InvalidInput("é" * 5000, "ö" * 5000), CLASSIFY)
    percent_encoded = 6 * len(failure.message)
    assert percent_encoded + len(failure.status().SerializeToString()) < 6000
