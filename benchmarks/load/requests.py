"""The measured requests as bytes, with checks of their answers.

A load that only counts answers would count errors too, so each request is sent and checked once before. The
images are the golden rows of the model, with the scores of scikit-learn.
"""

import http.client
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import grpc
import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as oip
from digits_protocol.inference import shared_memory_pb2 as shm

from artifact.store import VersionFolder
from training.data.inputs import scale_pixels

CLASSIFY = "/digits.v1.DigitsService/Classify"
INFER = "/inference.GRPCInferenceService/ModelInfer"
REGISTER = "/inference.GRPCInferenceService/SystemSharedMemoryRegister"
MODEL = VersionFolder(Path(__file__).resolve().parents[2] / "models", "mnist-16x16", 2)
LARGE = replace(MODEL, name="mnist-large", version=1)
"""Where the model counts, and not the transport alone."""
TOLERANCE = 1e-5
PREFIX = "digits-bench"


class WrongAnswerError(Exception):
    """The answer of a server differs from that of the model."""


@dataclass(frozen=True)
class LoadRequest:
    """One unary call of `rows` images; `check` raises `WrongAnswerError` for an answer that is not theirs."""

    path: str
    body: bytes
    rows: int
    check: Callable[[bytes], None]
    rest: Mapping[str, str] | None = None
    """The headers of a request over REST, by HTTP/1.1; None for a call of gRPC."""

    @property
    def message(self) -> bytes:
        """The body; of gRPC with its prefix: the compression flag and the length."""
        return self.body if self.rest is not None else struct.pack(">BI", 0, len(self.body)) + self.body


def images(count: int, model: VersionFolder = MODEL) -> np.ndarray:
    """Test images of MNIST, uint8 [count, 784]: the 64 golden rows repeated."""
    return np.resize(model.read_golden().pixels, (count, 784))


def classify(count: int) -> LoadRequest:
    """Raw pixels by digits.v1."""

    def check(body: bytes) -> None:
        predictions = pb.ClassifyResponse.FromString(body).predictions
        compare([each.digit for each in predictions], [list(each.scores) for each in predictions], count)

    return LoadRequest(CLASSIFY, pb.ClassifyRequest(pixels=images(count).tobytes()).SerializeToString(), count, check)


def infer(count: int, datatype: str = "UINT8", model: VersionFolder = MODEL) -> LoadRequest:
    """Raw contents by the Open Inference Protocol, `UINT8` or `FP32`; the label and the scores come back."""
    pixels = images(count, model) if datatype == "UINT8" else images(count, model).astype(np.float32)
    return _infer(pixels, datatype, model)


def infer_scaled(count: int) -> LoadRequest:
    """The same images as scaled float32 inputs, as the classifier and skl2onnx's own model take them."""
    card = json.loads(MODEL.card.read_text())
    scale, offset = card["pixel_scale"], card["pixel_offset"]
    return _infer(scale_pixels(images(count), pixel_scale=scale, pixel_offset=offset, dtype=np.float32), "FP32")


def _infer(pixels: np.ndarray, datatype: str, model: VersionFolder = MODEL) -> LoadRequest:
    request = oip.ModelInferRequest(model_name=model.name)
    request.inputs.add(name="pixels", datatype=datatype, shape=pixels.shape)
    request.raw_input_contents.append(pixels.tobytes())

    def check(body: bytes) -> None:
        tensors = outputs(oip.ModelInferResponse.FromString(body))
        scores = tensors.get("scores", tensors.get("probabilities"))
        if "label" not in tensors or scores is None:
            raise WrongAnswerError(f"outputs are {', '.join(tensors) or 'none'}, expected label and scores")
        compare(tensors["label"], scores, len(pixels), model)

    return LoadRequest(INFER, request.SerializeToString(), len(pixels), check)


def infer_rest(count: int) -> LoadRequest:
    """The same images by the Open Inference Protocol over REST, binary in both directions."""
    pixels = images(count)
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": pixels.shape}
    outputs = [{"name": name, "parameters": {"binary_data": True}} for name in ("label", "scores")]
    inputs = [tensor | {"parameters": {"binary_data_size": pixels.nbytes}}]
    head = json.dumps({"inputs": inputs, "outputs": outputs}).encode()

    def check(body: bytes) -> None:
        told, end = json.JSONDecoder().raw_decode(body.decode("latin-1"))
        tensors = {}
        for output in told["outputs"]:
            size = output["parameters"]["binary_data_size"]
            dtype = {"INT64": np.int64, "FP32": np.float32}[output["datatype"]]
            tensors[output["name"]] = np.frombuffer(body[end : end + size], dtype).reshape(output["shape"])
            end += size
        compare(tensors["label"], tensors["scores"], count)

    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    return LoadRequest(f"/v2/models/{MODEL.name}/infer", head + pixels.tobytes(), count, check, headers)


def outputs(response: oip.ModelInferResponse) -> dict[str, np.ndarray]:
    """The tensors of an answer by name, from raw or typed contents."""
    tensors = {}
    for number, output in enumerate(response.outputs):
        dtype = {"INT64": np.int64, "FP32": np.float32}.get(output.datatype)
        if dtype is None:
            raise WrongAnswerError(f"{output.name} is {output.datatype}")
        if response.raw_output_contents:
            flat = np.frombuffer(response.raw_output_contents[number], dtype)
        else:
            typed = output.contents
            flat = np.array(typed.int64_contents if dtype is np.int64 else typed.fp32_contents, dtype)
        tensors[output.name] = flat.reshape(tuple(output.shape))
    return tensors


def compare(labels: object, scores: object, count: int, model: VersionFolder = MODEL) -> None:
    """Raise `WrongAnswerError` unless these are scikit-learn's labels and scores of the first `count` images."""
    golden = model.read_golden()
    got_labels, got_scores = np.ravel(np.asarray(labels)), np.asarray(scores)
    if got_labels.shape != (count,) or got_scores.shape != (count, 10):
        raise WrongAnswerError(f"{len(got_labels)} labels and scores of shape {list(got_scores.shape)} for {count}")
    difference = np.abs(got_scores - np.resize(golden.scores, (count, 10))).max()
    if not difference <= TOLERANCE or (got_labels != np.resize(golden.labels, count)).any():
        raise WrongAnswerError(f"labels differ, or a score does by {difference:.1e}")


@contextmanager
def infer_by_shared_memory(port: int, count: int) -> Iterator[LoadRequest]:
    """Pixels and scores in shared memory; only their location is sent."""
    pixels = images(count)
    scores_bytes = count * 10 * 4
    region = SharedMemory(f"{PREFIX}-{os.getpid()}-{count}", create=True, size=pixels.nbytes + scores_bytes)
    region.buf[: pixels.nbytes] = pixels.tobytes()

    def check(body: bytes) -> None:
        written = np.frombuffer(region.buf[pixels.nbytes : pixels.nbytes + scores_bytes].tobytes(), np.float32)
        compare(np.resize(MODEL.read_golden().labels, count), written.reshape(count, 10), count)

    try:
        register = shm.SystemSharedMemoryRegisterRequest(
            name=f"bench-{count}", key=f"/{PREFIX}-{os.getpid()}-{count}", byte_size=region.size
        )
        with _channel(port) as channel:
            channel.unary_unary(REGISTER)(register.SerializeToString(), timeout=10)
        request = oip.ModelInferRequest(model_name=MODEL.name)
        tensor = request.inputs.add(name="pixels", datatype="UINT8", shape=[count, 784])
        output = request.outputs.add(name="scores")
        for target, size, offset in ((tensor, pixels.nbytes, 0), (output, scores_bytes, pixels.nbytes)):
            target.parameters["shared_memory_region"].string_param = f"bench-{count}"
            target.parameters["shared_memory_byte_size"].int64_param = size
            target.parameters["shared_memory_offset"].int64_param = offset
        yield LoadRequest(INFER, request.SerializeToString(), count, check)
    finally:
        region.close()
        region.unlink()


def answer(port: int, request: LoadRequest) -> bytes:
    """The checked answer to one call. Raises `ConnectionError` for a failed call, or `WrongAnswerError`."""
    if request.rest is not None:
        return _answer_rest(port, request, request.rest)
    with _channel(port) as channel:
        try:
            body: bytes = channel.unary_unary(request.path)(request.body, timeout=20)
        except grpc.RpcError as error:
            raise ConnectionError(f"{error.code().name}: {error.details()}") from None
    request.check(body)
    return body


def _answer_rest(port: int, request: LoadRequest, headers: Mapping[str, str]) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", request.path, request.body, dict(headers))
        response = connection.getresponse()
        body = response.read()
    except http.client.HTTPException as error:
        raise ConnectionError(str(error)) from None
    finally:
        connection.close()
    if response.status != 200:
        raise ConnectionError(f"{response.status}: {body.decode(errors='replace')}")
    request.check(body)
    return body


def _channel(port: int) -> grpc.Channel:
    options = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
    ]
    return grpc.insecure_channel(f"127.0.0.1:{port}", options)
