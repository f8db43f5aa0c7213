"""The handlers without a transport: what they raise, and what the one table makes of it."""

import time

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from structlog.testing import capture_logs

from engine.errors import (
    NAMES,
    DeadlinePassed,
    InvalidInput,
    NotFound,
    NotReady,
    QueueFull,
    RateExceeded,
    RunFailed,
    error_classes,
    listed,
    quoted,
)
from service.api.errors import CODES, translate
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.server import small_models

CLASSIFY = "/digits.v1.DigitsService/Classify"
ONE = pb.ClassifyRequest(pixels=bytes(784))


def settings(**given) -> Settings:
    return Settings(models=small_models(), log_level="error", **given)


async def test_a_deadline_already_past_is_never_run():
    """The handler raises what becomes DEADLINE_EXCEEDED, and onnxruntime is not troubled."""
    async with App.open(settings()) as app:
        statistics = app.repository.find("", "").statistics
        with pytest.raises(DeadlinePassed) as raised:
            await app.methods[CLASSIFY].handler(ONE, LocalContext(deadline=time.monotonic() - 0.001))
        assert translate(raised.value, CLASSIFY).code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert statistics.executions == 0
        await app.methods[CLASSIFY].handler(ONE, LocalContext())
        assert statistics.executions == 1


async def test_before_and_after_serving_calls_are_unavailable():
    """While the models load, and once the server drains; both say so."""
    app = App(settings())
    with pytest.raises(NotReady, match="no version of model mnist-16x16 is ready: the model is being loaded"):
        await app.methods[CLASSIFY].handler(ONE, LocalContext())
    await app.load()
    assert len((await app.methods[CLASSIFY].handler(ONE, LocalContext())).predictions) == 1
    app.drain()
    with pytest.raises(NotReady, match="the server is draining") as raised:
        await app.methods[CLASSIFY].handler(ONE, LocalContext())
    assert translate(raised.value, CLASSIFY).code is grpc.StatusCode.UNAVAILABLE
    app.close()


async def test_a_run_that_fails_is_internal_and_keeps_its_words_to_the_log():
    """The client learns that onnxruntime failed, not where and why."""
    async with App.open(settings()) as app:
        broken = app.repository.find("", "").session
        broken._plain = ["secret"]  # an output that the graph has not: onnxruntime itself refuses
        with pytest.raises(RunFailed) as raised, capture_logs() as logged:
            await app.methods[CLASSIFY].handler(ONE, LocalContext())
    failure = translate(raised.value, CLASSIFY)
    assert failure.code is grpc.StatusCode.INTERNAL
    assert "secret" not in failure.message
    [line] = logged
    assert line["event"] == "run failed"
    assert "secret" in str(line["exc_info"])


def test_every_error_of_the_runtime_has_its_status():
    """A new one cannot be forgotten, however deep below the others it stands."""
    assert RateExceeded in error_classes()
    assert set(error_classes()) == set(CODES)


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
    for error in (InvalidInput("é" * 5000, "ö" * 5000), NotFound("ü" * 5000)):
        failure = translate(error, CLASSIFY)
        assert len(failure.message) == 300
        percent_encoded = 6 * len(failure.message)
        assert percent_encoded + len(failure.status().SerializeToString()) < 6000


@pytest.mark.parametrize("word", ["x" * 5000, "\0" * 65, "\U000e0001" * 64, "'\"" * 40, "\n" * 64])
def test_what_a_client_wrote_is_repeated_in_part(word: str):
    """However it has to be written."""
    assert len(quoted(word)) <= 68
    assert quoted(word[:3]) == repr(word[:3])


def test_of_many_names_the_first_are_listed():
    """And how many more there are."""
    assert listed([str(number) for number in range(NAMES)]).count(",") == NAMES - 1
    assert listed([str(number) for number in range(1000)]).endswith(f"7 and {1000 - NAMES} more")
    assert listed([]) == "none"
