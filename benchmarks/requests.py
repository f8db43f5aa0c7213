"""The requests that are measured, as bytes, and a look at what comes back.

Load that only counts answers would measure errors as gladly, so each kind is sent once and read.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory

import grpc
import numpy as np
from sklearn.datasets import load_digits

from stubs.digits.v1 import digits_pb2 as pb
from stubs.inference import open_inference_pb2 as oip
from stubs.inference import shared_memory_pb2 as shm

CLASSIFY = "/digits.v1.DigitsService/Classify"
INFER = "/inference.GRPCInferenceService/ModelInfer"
REGISTER = "/inference.GRPCInferenceService/SystemSharedMemoryRegister"
MODEL = "mnist-16x16"
PREFIX = "digits-bench"


@dataclass(frozen=True)
class Request:
    """One unary call."""

    path: str
    body: bytes
    rows: int


def images(count: int) -> np.ndarray:
    """Real digits of the size of MNIST's, uint8 [count, 784]: scikit-learn's, enlarged."""
    digits = np.resize(load_digits().images, (count, 8, 8)).repeat(3, axis=1).repeat(3, axis=2) * 15.9
    return np.pad(digits, ((0, 0), (2, 2), (2, 2))).astype(np.uint8).reshape(count, 784)


def classify(count: int) -> Request:
    """Raw pixels by digits.v1."""
    return Request(CLASSIFY, pb.ClassifyRequest(pixels=images(count).tobytes()).SerializeToString(), count)


def infer(count: int, datatype: str) -> Request:
    """Raw contents by the Open Inference Protocol, `UINT8` or `FP32`; the label and the scores come back."""
    request = oip.ModelInferRequest(model_name=MODEL)
    request.inputs.add(name="pixels", datatype=datatype, shape=[count, 784])
    pixels = images(count)
    request.raw_input_contents.append((pixels if datatype == "UINT8" else pixels.astype(np.float32)).tobytes())
    return Request(INFER, request.SerializeToString(), count)


@contextmanager
def infer_by_shared_memory(port: int, count: int) -> Iterator[Request]:
    """Pixels and scores in a region that client and server share; only their place is sent."""
    pixels = images(count)
    scores_bytes = count * 10 * 4
    region = SharedMemory(f"{PREFIX}-{count}", create=True, size=pixels.nbytes + scores_bytes)
    region.buf[: pixels.nbytes] = pixels.tobytes()
    try:
        with _channel(port) as channel:
            body = shm.SystemSharedMemoryRegisterRequest(
                name=f"bench-{count}", key=f"/{PREFIX}-{count}", byte_size=region.size
            )
            channel.unary_unary(REGISTER)(body.SerializeToString(), timeout=10)
        request = oip.ModelInferRequest(model_name=MODEL)
        tensor = request.inputs.add(name="pixels", datatype="UINT8", shape=[count, 784])
        output = request.outputs.add(name="scores")
        for target, size, offset in ((tensor, pixels.nbytes, 0), (output, scores_bytes, pixels.nbytes)):
            target.parameters["shared_memory_region"].string_param = f"bench-{count}"
            target.parameters["shared_memory_byte_size"].int64_param = size
            target.parameters["shared_memory_offset"].int64_param = offset
        yield Request(INFER, request.SerializeToString(), count)
        scores = np.frombuffer(region.buf[pixels.nbytes : pixels.nbytes + scores_bytes].tobytes(), np.float32)
        if not np.allclose(scores.reshape(count, 10).sum(axis=1), 1, atol=1e-5):
            raise RuntimeError("the server wrote no scores")
    finally:
        region.close()
        region.unlink()


def answer(port: int, request: Request) -> bytes:
    """The answer to one call. Raises `RuntimeError` unless it holds as many rows as were sent."""
    with _channel(port) as channel:
        body: bytes = channel.unary_unary(request.path)(request.body, timeout=20)
    if request.path == CLASSIFY:
        rows = len(pb.ClassifyResponse.FromString(body).predictions)
    else:
        rows = oip.ModelInferResponse.FromString(body).outputs[0].shape[0]
    if rows != request.rows:
        raise RuntimeError(f"the server answered {rows} rows of {request.rows}")
    return body


def _channel(port: int) -> grpc.Channel:
    return grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)])
