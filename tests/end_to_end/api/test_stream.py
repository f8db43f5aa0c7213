"""ClassifyStream: answers in order, one bad message gets its error, a full queue stops the reading."""

import threading
from collections.abc import Iterator

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.any_pb2 import Any
from google.rpc.error_details_pb2 import BadRequest

from tests.support.server import STEM, Server, StartServer, Stub


def message(id_: str, pixels: bytes, **request) -> pb.ClassifyStreamRequest:
    return pb.ClassifyStreamRequest(id=id_, request=pb.ClassifyRequest(pixels=pixels, **request))


def test_answers_come_in_order_and_equal_those_of_classify(stub: Stub, mnist_test):
    """Of 300 messages of 1 to 7 images each."""
    pixels, _ = mnist_test
    parts = [pixels[i : i + 1 + i % 7] for i in range(300)]
    answers = list(stub.classify_stream(iter(message(str(i), part.tobytes()) for i, part in enumerate(parts))))
    assert [answer.id for answer in answers] == [str(i) for i in range(300)]
    for part, answer in list(zip(parts, answers, strict=True))[::20]:
        alone = stub.classify(pb.ClassifyRequest(pixels=part.tobytes()))
        assert list(answer.response.predictions) == list(alone.predictions)


def test_a_bad_message_gets_its_error_and_the_stream_goes_on(stub: Stub, mnist_test):
    """The error is the status that Classify would have ended with, details included."""
    good = mnist_test[0][0].tobytes()
    answers = list(
        stub.classify_stream(
            iter([message("a", good), message("b", b"x"), message("c", good, model="nobody"), message("d", good)])
        )
    )
    assert [answer.id for answer in answers] == ["a", "b", "c", "d"]
    assert [answer.WhichOneof("result") for answer in answers] == ["response", "error", "error", "response"]
    assert answers[1].error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    bad = BadRequest()
    assert Any.Unpack(answers[1].error.details[0], bad)
    assert bad.field_violations[0].field == "pixels"
    assert answers[2].error.code == grpc.StatusCode.NOT_FOUND.value[0]


def test_answers_come_while_the_client_still_sends(stub: Stub, mnist_test):
    """A stream may last for days: nothing waits for its end."""
    good = mnist_test[0][0].tobytes()
    goes_on = threading.Event()

    def send() -> Iterator[pb.ClassifyStreamRequest]:
        yield message("first", good)
        assert goes_on.wait(10)
        yield message("second", good)

    answers = stub.classify_stream(send())
    assert next(answers).id == "first"
    goes_on.set()
    assert [answer.id for answer in answers] == ["second"]


def test_a_full_queue_stops_the_reading_instead_of_refusing(start_server: StartServer, mnist_test):
    """Eight streams push far more than the queue holds; every message is answered, none refused."""
    server = start_server("--max-batch-rows=1024", "--max-queue-rows=1024", "--inline-us=0")
    body = mnist_test[0][:1000].tobytes()
    with server.channel() as channel:
        stub = Stub(channel)
        streams = [stub.classify_stream(iter([message(str(i), body) for i in range(12)])) for _ in range(8)]
        for stream in streams:
            answers = list(stream)
            assert [answer.id for answer in answers] == [str(i) for i in range(12)]
            assert all(len(answer.response.predictions) == 1000 for answer in answers)


def test_a_stream_that_is_cancelled_leaves_the_server_well(server: Server, mnist_test):
    """Whatever was queued for it is dropped."""
    body = mnist_test[0][:1000].tobytes()
    with server.channel() as channel:
        stub = Stub(channel)
        for _ in range(5):
            stream = stub.classify_stream(iter([message(str(i), body) for i in range(100)]))
            next(stream)
            stream.cancel()
        assert len(stub.classify(pb.ClassifyRequest(pixels=body), timeout=30).predictions) == 1000


def test_bytes_that_are_no_message_end_the_stream(server: Server):
    """There is no id to answer to."""
    with server.channel() as channel:
        stream = channel.stream_stream(STEM + "ClassifyStream")(iter([b"\xff" * 9]))
        with pytest.raises(grpc.RpcError) as raised:
            list(stream)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
