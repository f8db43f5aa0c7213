"""What the client makes of a server that fails, refuses or is slow."""

import asyncio
import itertools
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import digits_client.client as client_module
import grpc
import numpy as np
import pytest
from digits_client import (
    AsyncDigitsClient,
    DeadlineExceeded,
    DigitsClient,
    InvalidInput,
    ModelNotFound,
    NotAllowed,
    Overloaded,
    ServerError,
    TooLarge,
    Unavailable,
)
from digits_client.connection.channel import OPTIONS

from tests.unit.digits_client.conftest import HELD_SECONDS

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


def test_unavailable_is_repeated(faulty):
    """Two UNAVAILABLE answers in a row are not seen by the caller."""
    faulty.fail_with(UNAVAILABLE, times=2)
    with DigitsClient(faulty.target) as client:
        assert client.classify(IMAGE + 1).digit == 1
    assert len(faulty.requests) == 3


def test_unavailable_for_good(faulty):
    """After four attempts the caller is told, with the server's own words and gRPC's error as the cause."""
    faulty.fail_with(UNAVAILABLE, "draining", times=10)
    with DigitsClient(faulty.target) as client, pytest.raises(Unavailable, match="draining") as caught:
        client.classify(IMAGE)
    assert len(faulty.requests) == 4
    assert isinstance(caught.value.__cause__, grpc.RpcError)


def test_nobody_listens():
    """An address without a server is Unavailable, named, and the deadline is not waited for."""
    with (
        DigitsClient("127.0.0.1:1", timeout=20) as client,
        pytest.raises(Unavailable, match=r"cannot reach 127\.0\.0\.1:1"),
    ):
        client.classify(b"image")


def test_a_full_queue_is_waited_for(faulty):
    """RESOURCE_EXHAUSTED with RetryInfo is repeated, not sooner than the server bids."""
    faulty.be_overloaded(0.1, times=2)
    start = time.monotonic()
    with DigitsClient(faulty.target) as client:
        assert client.classify(IMAGE).digit == 0
    assert time.monotonic() - start >= 0.2
    assert len(faulty.requests) == 3


def test_a_full_queue_until_the_deadline(faulty, monkeypatch):
    """When there is no time to wait, the caller learns at once when to come back."""
    faulty.be_overloaded(60)
    waits: list[float] = []
    monkeypatch.setattr(client_module.time, "sleep", waits.append)
    with DigitsClient(faulty.target) as client, pytest.raises(Overloaded, match="queue is full") as caught:
        client.classify(IMAGE)
    assert caught.value.retry_after == 60
    assert waits == []


def test_too_large_is_not_repeated(faulty):
    """RESOURCE_EXHAUSTED without RetryInfo would fail forever, so it is tried once."""
    faulty.fail_with(grpc.StatusCode.RESOURCE_EXHAUSTED, "message of 20 MB", times=9)
    with DigitsClient(faulty.target) as client, pytest.raises(TooLarge, match="20 MB"):
        client.classify(IMAGE)
    assert len(faulty.requests) == 1


def test_the_deadline_holds(faulty):
    """A slow server is given up at the timeout, with a sentence that says how long was waited."""
    held = faulty.hold()
    with DigitsClient(faulty.target) as client, pytest.raises(DeadlineExceeded, match=r"within 0\.3 s"):
        client.classify(IMAGE, timeout=0.3)
    held.set()


def test_the_deadline_spans_repeats(faulty):
    """Waiting for a full queue counts towards the timeout."""
    faulty.be_overloaded(0.2, times=100)
    with DigitsClient(faulty.target, timeout=1) as client, pytest.raises((Overloaded, DeadlineExceeded)):
        client.classify(IMAGE)
    assert len(faulty.requests) <= 6  # no two within 0.2 s


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (grpc.StatusCode.NOT_FOUND, ModelNotFound),
        (grpc.StatusCode.INVALID_ARGUMENT, InvalidInput),
        (grpc.StatusCode.UNAUTHENTICATED, NotAllowed),
        (grpc.StatusCode.PERMISSION_DENIED, NotAllowed),
        (grpc.StatusCode.INTERNAL, ServerError),
        (grpc.StatusCode.UNIMPLEMENTED, ServerError),
    ],
)
def test_each_status_has_its_class(faulty, code: grpc.StatusCode, kind: type[Exception]):
    """Every other code is tried once and becomes the exception of its situation, with the server's sentence."""
    faulty.fail_with(code, "so it is", times=5)
    with DigitsClient(faulty.target) as client, pytest.raises(kind, match="so it is"):
        client.classify(IMAGE)
    assert len(faulty.requests) == 1


def test_violations_name_the_field(faulty):
    """BadRequest details come as (field, description)."""
    image = IMAGE.copy()
    image[0, 0] = 13
    with DigitsClient(faulty.target) as client, pytest.raises(InvalidInput) as caught:
        client.classify(image)
    assert caught.value.violations == (("pixels", "thirteen"),)


def test_errors_survive_pickling(faulty):
    """Errors pass between processes with all they carry."""
    again = pickle.loads(pickle.dumps(Overloaded("full", 1.5)))
    assert (str(again), again.retry_after) == ("full", 1.5)
    again = pickle.loads(pickle.dumps(InvalidInput("bad", (("pixels", "bad"),))))
    assert again.violations == (("pixels", "bad"),)


def test_models_are_listed_once(faulty):
    """The shape is asked for with the first array, and never for image files."""
    with DigitsClient(faulty.target) as client:
        client.classify(b"file")
        assert faulty.listings == 0
        for _ in range(3):
            client.classify(IMAGE)
        assert faulty.listings == 1


def test_models_are_listed_again_after_a_refusal(faulty):
    """A model that was replaced by one of another shape is found out: the next call knows better."""
    with DigitsClient(faulty.target) as client:
        client.classify(IMAGE)
        faulty.rows, faulty.cols = 3, 4
        faulty.fail_with(grpc.StatusCode.INVALID_ARGUMENT)
        with pytest.raises(InvalidInput):
            client.classify(IMAGE)
        assert client.classify(IMAGE.T).digit == 0


def test_channels_are_used_in_turn(faulty):
    """Several channels open several connections."""
    with DigitsClient(faulty.target, channels=3) as client:
        assert client.classify([IMAGE, IMAGE]).digits.tolist() == [0, 0]
        for _ in range(6):
            client.classify(IMAGE)
    assert len(faulty.requests) == 7


def test_channel_options_are_those_of_grpc():
    """Retries are gRPC's service config, and answers of 64 MiB are taken."""
    options = dict(OPTIONS)
    assert '"retryableStatusCodes": ["UNAVAILABLE"]' in options["grpc.service_config"]
    assert options["grpc.max_receive_message_length"] == 64 * 2**20


async def test_asyncio_repeats_and_waits_likewise(faulty):
    """The asyncio client hides UNAVAILABLE and a full queue as the other does."""
    faulty.fail_with(UNAVAILABLE)
    faulty.be_overloaded(0.1)
    async with AsyncDigitsClient(faulty.target) as client:
        assert (await client.classify(IMAGE)).digit == 0
    assert len(faulty.requests) == 3


def test_a_stream_that_breaks_raises(faulty):
    """What ends a whole stream is raised, after the answers that came."""
    faulty.faults.append(lambda context: None)
    faulty.fail_with(grpc.StatusCode.INTERNAL, "it broke")
    found = []
    with DigitsClient(faulty.target) as client, pytest.raises(ServerError, match="it broke"):
        found.extend(client.classify_stream([IMAGE + 1, IMAGE, IMAGE]))


async def test_an_asyncio_stream_that_breaks_raises(faulty):
    """The asyncio client raises it as well."""
    faulty.fail_with(grpc.StatusCode.INTERNAL, "it broke")
    async with AsyncDigitsClient(faulty.target) as client:
        with pytest.raises(ServerError, match="it broke"):
            _ = [each async for each in client.classify_stream([IMAGE])]


async def test_asyncio_deadline(faulty):
    """The asyncio client gives up at the timeout."""
    held = faulty.hold()
    async with AsyncDigitsClient(faulty.target) as client:
        with pytest.raises(DeadlineExceeded):
            await client.classify(IMAGE, timeout=0.3)
    held.set()


def test_a_server_that_is_starting_is_waited_for_when_asked(late_server):
    """With wait_for_ready a call that began before the server did is answered; without, it fails."""
    with DigitsClient(late_server.target, timeout=HELD_SECONDS) as client, pytest.raises(Unavailable):
        client.classify(IMAGE)
    late_server.start_soon()
    with DigitsClient(late_server.target, timeout=HELD_SECONDS, wait_for_ready=True) as client:
        assert client.classify(IMAGE).digit == 0
        assert [each.digit for each in client.classify_stream([IMAGE + 1])] == [1]


async def test_asyncio_waits_for_a_starting_server_likewise(late_server):
    """The asyncio client, calls and streams, does the same."""
    async with AsyncDigitsClient(late_server.target, timeout=HELD_SECONDS) as client:
        with pytest.raises(Unavailable):
            await client.classify(IMAGE)
    late_server.start_soon()
    async with AsyncDigitsClient(late_server.target, timeout=HELD_SECONDS, wait_for_ready=True) as client:
        assert [each.digit async for each in client.classify_stream([IMAGE + 1])] == [1]
        assert (await client.classify(IMAGE)).digit == 0


def test_waiting_for_nobody_ends_at_the_deadline():
    """With wait_for_ready and no server the timeout holds."""
    with DigitsClient("127.0.0.1:1", timeout=0.5, wait_for_ready=True) as client, pytest.raises(DeadlineExceeded):
        client.classify(b"image")


def test_threads_wait_for_the_listing_no_longer_than_they_may(faulty):
    """A thread that finds another asking for the listing keeps its own deadline."""
    held = faulty.hold_listing()
    with DigitsClient(faulty.target, timeout=HELD_SECONDS) as client, ThreadPoolExecutor(1) as pool:
        patient = pool.submit(client.classify, IMAGE)
        while not faulty.listings:
            time.sleep(0.001)
        with pytest.raises(DeadlineExceeded, match=r"within 0\.2 s"):
            client.classify(IMAGE, timeout=0.2)
        held.set()
        assert patient.result().digit == 0


def test_a_closed_stream_cancels_the_call(faulty):
    """Closing the generator while its iterable blocks ends the call; the thread ends with the iterable."""
    going_on = threading.Event()
    ended = threading.Event()

    def source():
        try:
            yield IMAGE
            going_on.wait(30)
            yield IMAGE
        finally:
            ended.set()

    with DigitsClient(faulty.target) as client:
        stream = client.classify_stream(source())
        assert next(stream).digit == 0
        stream.close()
        assert faulty.cancelled.wait(5)
        going_on.set()
        assert ended.wait(5)


def test_a_closed_stream_reads_no_more_bad_items(faulty):
    """An endless iterable of what cannot be sent is left as well, though nothing of it ever reaches gRPC."""
    read = itertools.count()

    def source():
        yield IMAGE
        while next(read) >= 0:
            time.sleep(0.001)
            yield np.zeros(3)

    with DigitsClient(faulty.target) as client:
        stream = client.classify_stream(source())
        assert next(stream).digit == 0
        time.sleep(0.05)
        stream.close()
        time.sleep(0.1)
        before = next(read)
        time.sleep(0.2)
        assert next(read) == before + 1


async def test_an_asyncio_stream_of_bad_items_lets_go_of_the_loop(faulty):
    """Endless bad items of a plain iterable neither stop the event loop nor outlive the closed generator."""
    read = itertools.count()

    def source():
        yield IMAGE
        while next(read) >= 0:
            yield np.zeros(3)

    async with AsyncDigitsClient(faulty.target) as client:
        stream = client.classify_stream(source())
        assert (await asyncio.wait_for(anext(stream), 10)).digit == 0
        await stream.aclose()
        await asyncio.sleep(0.1)
        before = next(read)
        await asyncio.sleep(0.1)
        assert next(read) == before + 1
