"""A server that answers what it should not: the error is ours, and nothing is made up or left out."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DigitsClient, InvalidInput, Overloaded, ServerError, TooLarge
from digits_client.errors import from_status
from digits_client.inference import InferenceClient, message
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.status_pb2 import Status

IMAGE = np.arange(12, dtype=np.uint8).reshape(4, 3)
VERSION = pb.ModelVersion(version="1", state=pb.MODEL_STATE_READY, rows=4, cols=3, pixel_max=16, classes=["a", "b"])
LISTING = pb.ListModelsResponse(
    models=[pb.Model(name="m", versions=[VERSION])], default_model="m", max_rows=8, max_message_bytes=2**20
)
PREDICTION = pb.Prediction(digit=1, scores=[0.25, 0.75], margin=0.5)
NO_ANSWER = b"\xff\xff\xff"


def after(requests: Iterator[bytes], answer: list[bytes]) -> Iterator[bytes]:
    for _ in requests:
        pass
    yield from answer


@pytest.fixture
def answers() -> Iterator[dict[str, Any]]:
    """A server at `target` whose methods answer these bytes, each by its name; of the stream a list of them."""
    given: dict[str, Any] = {"ListModels": LISTING.SerializeToString()}

    class Handlers(grpc.GenericRpcHandler):
        def service(self, details: Any) -> Any:
            answer = given.get(details.method.rpartition("/")[2])
            if answer is None:
                return None
            if callable(answer):
                return grpc.unary_unary_rpc_method_handler(lambda request, context: answer(context))
            if isinstance(answer, list):
                return grpc.stream_stream_rpc_method_handler(lambda requests, context: after(requests, answer))
            return grpc.unary_unary_rpc_method_handler(lambda request, context: answer)

    server = grpc.server(ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((Handlers(),))
    given["target"] = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    yield given
    server.stop(None).wait()


def both(target: str, call: Callable[[Any], Any], **options: Any) -> None:
    """Either client raises `ServerError` for that call, and names the server."""

    async def with_asyncio() -> None:
        async with AsyncDigitsClient(target, coalesce=True) as client:
            await asyncio.wait_for(call(client), 30)

    with DigitsClient(target) as client, pytest.raises(ServerError, match=target):
        call(client)
    with pytest.raises(ServerError, match=target):
        asyncio.run(with_asyncio())


@pytest.mark.parametrize(
    ("method", "call"),
    [
        ("ListModels", lambda client: client.models()),
        ("ListModels", lambda client: client.classify(IMAGE)),
        ("Classify", lambda client: client.classify(IMAGE)),
        ("Classify", lambda client: client.classify(b"file")),
        ("Read", lambda client: client.read(b"file")),
        ("GetModel", lambda client: client.model()),
        ("GetNetwork", lambda client: client.network()),
    ],
)
def test_bytes_that_are_no_message(answers, caplog: pytest.LogCaptureFixture, method: str, call: Any):
    """Of any method; and nothing is logged."""
    answers[method] = NO_ANSWER
    both(answers["target"], call)
    assert not caplog.records


@pytest.mark.parametrize("results", [0, 1, 3])
@pytest.mark.parametrize("image", [np.stack([IMAGE, IMAGE]), [b"file", b"file"]])
def test_more_or_fewer_results_than_images(answers, results: int, image: Any):
    """Which is whose would be a guess."""
    answers["Classify"] = pb.ClassifyResponse(predictions=[PREDICTION] * results).SerializeToString()
    both(answers["target"], lambda client: client.classify(image))


def test_no_result_for_one_image(answers):
    """Nobody waits for what does not come."""
    answers["Classify"] = b""
    both(answers["target"], lambda client: client.classify(IMAGE))


@pytest.mark.parametrize(
    ("method", "answer", "call"),
    [
        ("GetModel", pb.GetModelResponse(card=pb.Card(recipe_json="{")), lambda client: client.model()),
        ("GetModel", pb.GetModelResponse(card=pb.Card(classes="ab", confusion=[1])), lambda client: client.model()),
        (
            "GetNetwork",
            pb.GetNetworkResponse(layers=[pb.NetworkLayer(weights=[1], inputs=2)]),
            lambda client: client.network(),
        ),
    ],
)
def test_messages_that_contradict_themselves(answers, method: str, answer: Any, call: Any):
    """Are no cards and no weights."""
    answers[method] = answer.SerializeToString()
    both(answers["target"], call)


def in_stream(number: int, results: int = 1) -> bytes:
    response = pb.ClassifyResponse(predictions=[PREDICTION] * results)
    return pb.ClassifyStreamResponse(id=str(number), response=response).SerializeToString()


@pytest.mark.parametrize(
    ("sent", "count"),
    [([in_stream(1)], 1), ([in_stream(1), in_stream(2), in_stream(3)], 2), ([in_stream(1), NO_ANSWER], 1)],
    ids=["too few", "too many", "no message"],
)
def test_a_stream_with_more_or_fewer_answers_than_items(answers, sent: list[bytes], count: int):
    """Ends with an error after those that came, and not as if it were complete."""
    answers["ClassifyStream"] = sent

    async def with_asyncio() -> None:
        async with AsyncDigitsClient(answers["target"]) as client:
            stream = client.classify_stream([b"a", b"b"])
            for _ in range(count):
                assert (await anext(stream)).digit == 1
            with pytest.raises(ServerError):
                await anext(stream)

    with DigitsClient(answers["target"]) as client:
        stream = client.classify_stream([b"a", b"b"])
        for _ in range(count):
            assert next(stream).digit == 1
        with pytest.raises(ServerError):
            next(stream)
    asyncio.run(with_asyncio())


@pytest.mark.parametrize(
    ("code", "detail", "kind"),
    [
        (grpc.StatusCode.INVALID_ARGUMENT, "google.rpc.BadRequest", InvalidInput),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "google.rpc.RetryInfo", Overloaded),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "google.rpc.BadRequest", TooLarge),
    ],
)
def test_details_that_cannot_be_read(code: grpc.StatusCode, detail: str, kind: type[Exception]):
    """The code and the message say enough."""
    packed = Packed(type_url=f"type.googleapis.com/{detail}", value=NO_ANSWER)
    error = from_status(Status(code=code.value[0], message="no", details=[packed]))
    assert (type(error), str(error)) == (kind, "no")


@pytest.mark.parametrize(
    "contents", [[], [bytes(8)], [bytes(8), bytes(8), bytes(8)], [bytes(7), bytes(8)], [bytes(8)] * 2]
)
def test_scores_of_the_open_inference_protocol_that_do_not_fit(answers, contents: list[bytes]):
    """Two rows of two classes are 16 bytes of labels and as many of scores."""
    response = message("ModelInferResponse")(raw_output_contents=contents)
    answers["ModelInfer"] = response.SerializeToString()
    with InferenceClient(answers["target"]) as client:
        with pytest.raises(ServerError, match=answers["target"]):
            client.infer("m", "1", np.zeros((2, 12), np.uint8), 2)
        answers["ModelInfer"] = NO_ANSWER
        with pytest.raises(ServerError, match=answers["target"]):
            client.infer("m", "1", np.zeros((2, 12), np.uint8), 2)
