"""Bad input of every kind: the status of the table, the field, and one clear sentence."""

import io
import time

import grpc
import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc_status import rpc_status
from PIL import Image

from tests.support.server import NAMES, STEM, Server, StartServer, Stub

INVALID, NOT_FOUND = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
ONE = bytes(784)


def png(size: tuple[int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("1", size).save(file, "png")
    return file.getvalue()


def details(error: grpc.RpcError, kind: type) -> list:
    """The details of that kind in `grpc-status-details-bin`."""
    status = rpc_status.from_call(error)
    found = []
    for detail in status.details if status else ():
        message = kind()
        if Any.Unpack(detail, message):
            found.append(message)
    return found


CASES = {
    "a wrong byte count": (
        pb.ClassifyRequest(model="mnist-16x16", pixels=bytes(785)),
        "pixels",
        "has 785 bytes, expected a multiple of 784 (28×28, one byte a pixel) for model mnist-16x16",
    ),
    "an empty request": (pb.ClassifyRequest(), "pixels", "is empty, and so is encoded_images; expected 784 bytes"),
    "both kinds of images": (
        pb.ClassifyRequest(pixels=ONE, encoded_images=[png((8, 8))]),
        "pixels",
        "is set, and so is encoded_images; expected exactly one of the two",
    ),
    "a pixel above the range": (
        pb.ClassifyRequest(model="digits-8x8", pixels=bytes(64) + bytes([3, 17] * 32)),
        "pixels",
        "image 1 has a pixel of 17, expected 0..16 for model digits-8x8",
    ),
    "a coverage of all": (
        pb.ClassifyRequest(pixels=ONE, coverage=1),
        "coverage",
        "is 1, expected more than 0 and less",
    ),
    "a coverage for a model that has no thresholds": (
        pb.ClassifyRequest(model="mnist-16x16", version="2", pixels=ONE, coverage=0.9),
        "coverage",
        "is 0.9, and model mnist-16x16 has no thresholds",
    ),
    "a chance of no digit that is none": (
        pb.ClassifyRequest(pixels=ONE, reject_above=-1),
        "reject_above",
        "is -1, expected more than 0 and less than 1, or 0 to reject none",
    ),
    "a chance of no digit for a model that cannot tell": (
        pb.ClassifyRequest(model="mnist-16x16", version="2", pixels=ONE, reject_above=0.9),
        "reject_above",
        "is 0.9, and model mnist-16x16 cannot tell digits from other images",
    ),
    "too many rows": (pb.ClassifyRequest(pixels=ONE * 1025), "pixels", "holds 1025 images, expected at most 1024"),
    "too many encoded images": (
        pb.ClassifyRequest(encoded_images=[b"x"] * 1025),
        "encoded_images",
        "holds 1025 images, expected at most 1024",
    ),
    "text named .png": (
        pb.ClassifyRequest(encoded_images=[png((9, 9)), b"Dear sir or madam"]),
        "encoded_images[1]",
        "image",
    ),
    "an empty image": (pb.ClassifyRequest(encoded_images=[b""]), "encoded_images[0]", "empty"),
    "a truncated PNG": (pb.ClassifyRequest(encoded_images=[png((300, 300))[:-40]]), "encoded_images[0]", "truncated"),
    "a PNG of 20,000×20,000": (
        pb.ClassifyRequest(encoded_images=[png((20_000, 20_000))]),
        "encoded_images[0]",
        "20000×20000",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_invalid_argument_and_names_the_field(stub: Stub, case: str):
    """The details hold a BadRequest with the field and what was expected; the message says the same."""
    request, field, sentence = CASES[case]
    with pytest.raises(grpc.RpcError) as raised:
        stub.classify(request, timeout=30)
    assert raised.value.code() is INVALID
    [bad] = details(raised.value, BadRequest)
    [violation] = bad.field_violations
    assert violation.field == field
    assert sentence in violation.description
    assert raised.value.details() == f"{field}: {violation.description}"
    assert not details(raised.value, RetryInfo)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (
            pb.ClassifyRequest(model="mnist-99", pixels=ONE),
            f"there is no model 'mnist-99'; there is {NAMES}",
        ),
        (pb.ClassifyRequest(version="7", pixels=ONE), "model mnist-256x128 has no version '7'; it has 2"),
        (pb.ClassifyRequest(version="newest", pixels=ONE), "has no version 'newest'"),
        (pb.ClassifyRequest(version="01", pixels=ONE), "has no version '01'"),
    ],
)
def test_an_unknown_model_or_version_is_not_found_and_says_what_there_is(stub: Stub, request_, sentence):
    """NOT_FOUND names what is there instead."""
    with pytest.raises(grpc.RpcError) as raised:
        stub.classify(request_)
    assert raised.value.code() is NOT_FOUND
    assert sentence in raised.value.details()


@pytest.mark.parametrize(
    ("request_", "field"),
    [(pb.GetNetworkRequest(layer=4), "layer"), (pb.GetNetworkRequest(member=1, layer=1), "member")],
)
def test_a_layer_or_member_that_is_not_there_is_named(stub: Stub, request_, field):
    """GetNetwork checks its numbers too."""
    with pytest.raises(grpc.RpcError) as raised:
        stub.get_network(request_)
    assert raised.value.code() is INVALID
    assert raised.value.details().startswith(f"{field}: is ")


def test_a_message_over_the_limit_is_refused_without_an_invitation_to_retry(stub: Stub):
    """RESOURCE_EXHAUSTED with no RetryInfo, since the same message will never fit."""
    with pytest.raises(grpc.RpcError) as raised:
        stub.classify(pb.ClassifyRequest(encoded_images=[bytes(17 * 2**20)]), timeout=30)
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert str(16 * 2**20) in raised.value.details()
    assert not details(raised.value, RetryInfo)


def test_bytes_that_are_no_message_are_invalid_argument(server: Server):
    """Garbage is the client's fault, not INTERNAL."""
    with server.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(STEM + "Classify")(b"\xff" * 50, timeout=10)
    assert raised.value.code() is INVALID
    assert "50 bytes that are no digits.v1.ClassifyRequest" in raised.value.details()


def test_an_unknown_method_is_unimplemented(server: Server):
    """As gRPC has it."""
    with server.channel() as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(STEM + "Clasify")(b"", timeout=10)
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_deadlines_too_short_to_keep_are_deadline_exceeded(stub: Stub, mnist_test):
    """A thousand images in half a millisecond: nobody gets anything but an answer or DEADLINE_EXCEEDED."""
    request = pb.ClassifyRequest(pixels=mnist_test[0][:1000].tobytes())
    calls = [stub.classify.future(request, timeout=0.0005) for _ in range(100)]
    codes = {grpc.StatusCode.OK if call.exception() is None else call.exception().code() for call in calls}
    assert grpc.StatusCode.DEADLINE_EXCEEDED in codes
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.DEADLINE_EXCEEDED}
    assert len(stub.classify(request, timeout=30).predictions) == 1000


def test_suspicious_pixels_are_classified_with_a_warning(stub: Stub, mnist_test):
    """Blank, scaled to 0..1, inverted: the row that looks wrong is warned about, its neighbours are not."""
    digit = mnist_test[0][0]
    images = np.stack([digit, np.zeros(784, np.uint8), digit > 127, 255 - digit]).astype(np.uint8)
    predictions = stub.classify(pb.ClassifyRequest(pixels=images.tobytes())).predictions
    good, blank, scaled, inverted = [list(prediction.warnings) for prediction in predictions]
    assert not good
    assert len(blank) == len(scaled) == len(inverted) == 1
    assert "blank" in blank[0]
    assert "scaled to 0..1" in scaled[0]
    assert "inverted" in inverted[0]


def test_a_full_queue_says_when_to_return_and_recovers(start_server: StartServer, mnist_test):
    """RESOURCE_EXHAUSTED with RetryInfo and grpc-retry-pushback-ms; nobody who was accepted is lost."""
    server = start_server("--max-batch-rows=1024", "--max-queue-rows=1024", "--inline-us=0")
    request = pb.ClassifyRequest(pixels=mnist_test[0][:1000].tobytes())
    with server.channel() as channel:
        stub = Stub(channel)
        futures = [stub.classify.future(request, timeout=60) for _ in range(100)]
        refused = answered = 0
        for future in futures:
            error = future.exception()
            if error is None:
                answered += len(future.result().predictions) == 1000
                continue
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert "there is no room for 1000 more" in error.details()
            [info] = details(error, RetryInfo)
            assert info.retry_delay.ToMilliseconds() > 0
            pushback = dict(error.trailing_metadata())["grpc-retry-pushback-ms"]
            assert int(pushback) == info.retry_delay.ToMilliseconds()
            refused += 1
        assert answered + refused == 100
        assert answered >= 1
        assert refused >= 1, "the queue was never full, so this showed nothing"
        assert len(stub.classify(request, timeout=60).predictions) == 1000


def test_a_client_that_goes_while_queued_leaves_the_server_well(server: Server, mnist_test):
    """Cancelled calls free what they held, and others are served."""
    request = pb.ClassifyRequest(pixels=mnist_test[0][:1000].tobytes())
    with server.channel() as channel:
        stub = Stub(channel)
        gone = [stub.classify.future(request) for _ in range(6)]
        time.sleep(0.005)
        for future in gone:
            future.cancel()
        for _ in range(3):
            assert len(stub.classify(request, timeout=30).predictions) == 1000
