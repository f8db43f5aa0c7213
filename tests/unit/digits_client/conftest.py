"""A server that does on demand what a real one cannot be made to do: fail, refuse, and be slow."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.any_pb2 import Any as Packed
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status

from tests.support.processes import free_port

SERVICE = "digits.v1.DigitsService"
FEATURES = 12
HELD_SECONDS = 60
"""What waits for a test waits this long at most."""


@dataclass
class FaultyServer:
    """Its one model takes 4×3 images in 0..16; the digit it answers is an image's first pixel."""

    port: int = 0
    requests: list[pb.ClassifyRequest] = field(default_factory=list)
    pictures: list[pb.ReadRequest] = field(default_factory=list)
    listings: int = 0
    faults: list[Callable[[Any], None]] = field(default_factory=list)
    """Each call of Classify and Read takes the first and lets it end the call."""
    cancelled: threading.Event = field(default_factory=threading.Event)
    """Whether a stream ended before its time."""
    rows: int = 4
    cols: int = 3

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._held_listing: threading.Event | None = None

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _record(self, request: Any, requests: list[Any], context: Any) -> None:
        with self._lock:
            requests.append(request)
            fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            fault(context)

    def classify(self, request: pb.ClassifyRequest, context: Any) -> pb.ClassifyResponse:
        self._record(request, self.requests, context)
        if 13 in request.pixels:
            end(context, grpc.StatusCode.INVALID_ARGUMENT, "thirteen", BadRequest(field_violations=[UNLUCKY]))
        images = [request.pixels[at : at + FEATURES] for at in range(0, len(request.pixels), FEATURES)]
        response = pb.ClassifyResponse(timings=pb.Timings(queue_us=1, inference_us=2, batch_rows=len(images)))
        response.model.name, response.model.version = request.model or "small", request.version or "1"
        for image in images or request.encoded_images:
            prediction = response.predictions.add(digit=image[0], scores=[0.75, 0.25], margin=0.5)
            prediction.rejected = request.reject_above > 0
            prediction.warnings.append("blank!")
            prediction.warning_codes.append("blank")
            if request.include_activations:
                prediction.activations.add(name="pixels", values=image)
        return response

    def read(self, request: pb.ReadRequest, context: Any) -> pb.ReadResponse:
        """One line of two digits, the first and the last byte of the picture; the second is rejected."""
        self._record(request, self.pictures, context)
        response = pb.ReadResponse(text="1?", score=0.5, width=20, height=10, quarter_turns=3)
        response.model.name, response.model.version = request.model or "small", request.version or "1"
        response.timings.batch_rows = 2
        response.warnings.append("lines")
        response.warning_codes.append("lines_removed")
        line = response.lines.add(text="1?", score=0.5, columns=9)
        for place, byte in enumerate((request.encoded_image[0], request.encoded_image[-1])):
            digit = line.digits.add(box=pb.Box(left=place, top=2, width=3, height=4))
            digit.field.row, digit.field.column = 0, 8 * place
            digit.prediction.digit, digit.prediction.rejected = byte, place == 1
            digit.prediction.scores.extend([0.25, 0.75])
            digit.prediction.not_a_digit = place / 2
        return response

    def list_models(self, request: pb.ListModelsRequest, context: Any) -> pb.ListModelsResponse:
        self.listings += 1
        held, self._held_listing = self._held_listing, None
        if held is not None:
            held.wait(HELD_SECONDS)
        ready = pb.ModelVersion(
            version="1", state=pb.MODEL_STATE_READY, rows=self.rows, cols=self.cols, pixel_max=16, classes=["a", "b"]
        )
        loading = pb.ModelVersion(version="2", state=pb.MODEL_STATE_LOADING, rows=8, cols=8, pixel_max=16)
        model = pb.Model(name="small", versions=[ready, loading])
        return pb.ListModelsResponse(models=[model], default_model="small", max_rows=8, max_message_bytes=2**20)

    def stream(self, requests: Iterator[Any], context: Any) -> Iterator[pb.ClassifyStreamResponse]:
        context.add_callback(self.cancelled.set)
        for message in requests:
            if 13 in message.request.pixels:
                error = status(grpc.StatusCode.INVALID_ARGUMENT, "thirteen", BadRequest(field_violations=[UNLUCKY]))
                yield pb.ClassifyStreamResponse(id=message.id, error=error)
            else:
                yield pb.ClassifyStreamResponse(id=message.id, response=self.classify(message.request, context))

    def fail_with(self, code: grpc.StatusCode, message: str = "no", *, times: int = 1) -> None:
        """The next calls end with that code."""
        self.faults += [lambda context: end(context, code, message)] * times

    def be_overloaded(self, seconds: float, *, times: int = 1) -> None:
        """The next calls are refused for that long."""
        info = RetryInfo()
        info.retry_delay.FromMilliseconds(round(seconds * 1000))
        full = grpc.StatusCode.RESOURCE_EXHAUSTED
        self.faults += [lambda context: end(context, full, "the queue is full", info)] * times

    def hold_listing(self) -> threading.Event:
        """The next listing waits for this event."""
        self._held_listing = threading.Event()
        return self._held_listing

    def hold(self) -> threading.Event:
        """The next call waits for this event."""
        event = threading.Event()
        self.faults.append(lambda context: event.wait(HELD_SECONDS))
        return event


UNLUCKY = BadRequest.FieldViolation(field="pixels", description="thirteen")


def status(code: grpc.StatusCode, message: str, *details: Any) -> Status:
    packed = []
    for detail in details:
        packed.append(Packed())
        packed[-1].Pack(detail)
    return Status(code=code.value[0], message=message, details=packed)


def end(context: Any, code: grpc.StatusCode, message: str, *details: Any) -> None:
    """End the call with that status."""
    if details:
        packed = status(code, message, *details).SerializeToString()
        context.set_trailing_metadata((("grpc-status-details-bin", packed),))
    context.abort(code, message)


class LateServer:
    """A server that is not there before `start_soon`."""

    def __init__(self) -> None:
        self._port = free_port()
        self._stack = ExitStack()
        self._timer = threading.Timer(0.3, lambda: self._stack.enter_context(serving(self._port)))

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self._port}"

    def start_soon(self) -> None:
        """Start it shortly after the next call, as far as a busy machine allows."""
        self._timer.start()

    def end(self) -> None:
        self._timer.join()
        self._stack.close()


@pytest.fixture
def late_server() -> Iterator[LateServer]:
    late = LateServer()
    yield late
    late.end()


@pytest.fixture
def faulty() -> Iterator[FaultyServer]:
    """A server of that kind on a free port of 127.0.0.1."""
    with serving() as faults:
        yield faults


@contextmanager
def serving(port: int = 0) -> Iterator[FaultyServer]:
    """A server of that kind on that port of 127.0.0.1, 0 for a free one."""
    faults = FaultyServer()

    def unary(method: Any, request: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(method, request.FromString, lambda m: m.SerializeToString())

    handlers = {
        "Classify": unary(faults.classify, pb.ClassifyRequest),
        "Read": unary(faults.read, pb.ReadRequest),
        "ListModels": unary(faults.list_models, pb.ListModelsRequest),
        "ClassifyStream": grpc.stream_stream_rpc_method_handler(
            faults.stream, pb.ClassifyStreamRequest.FromString, lambda m: m.SerializeToString()
        ),
    }
    server = grpc.server(ThreadPoolExecutor(8), options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    faults.port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield faults
    finally:
        server.stop(None).wait()
