"""Valid traffic to begin with: messages of every kind of request, and the frames of HTTP/2 that carry them."""

import io

from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as oip
from digits_protocol.inference.model_config_pb2 import ModelConfigRequest
from digits_protocol.inference.model_repository_pb2 import RepositoryIndexRequest, RepositoryModelLoadRequest
from digits_protocol.inference.model_statistics_pb2 import ModelStatisticsRequest
from digits_protocol.inference.shared_memory_pb2 import SystemSharedMemoryRegisterRequest
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest
from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)
from PIL import Image

from tests.support.server import STEM

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
INFERENCE = "/inference.GRPCInferenceService/"
WINDOW = 2**31 - 1
SMALL = "digits-8x8"

PIXELS = bytes(i % 17 for i in range(64))


def _png() -> bytes:
    """With two strokes side by side."""
    written = io.BytesIO()
    picture = Image.new("L", (24, 12), 200)
    for left in (4, 16):
        picture.paste(0, (left, 2, left + 3, 10))
    picture.save(written, "PNG")
    return written.getvalue()


PNG = _png()


def _infer(**fields: object) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name=SMALL, id="7", **fields)  # type: ignore[arg-type]
    request.inputs.add(name="pixels", datatype="UINT8", shape=[1, 64])
    for name in ("scores", "label"):
        request.outputs.add(name=name)
    return request


def _typed() -> oip.ModelInferRequest:
    request = _infer()
    request.inputs[0].contents.uint_contents.extend(PIXELS)
    request.outputs[0].parameters["classification"].int64_param = 3
    request.inputs[0].parameters["shared_memory_region"].string_param = "none"
    return request


MESSAGES: list[tuple[str, Message]] = [
    (STEM + "Classify", pb.ClassifyRequest(model=SMALL, pixels=PIXELS)),
    (STEM + "Classify", pb.ClassifyRequest(model=SMALL, version="1", pixels=PIXELS * 3, include_activations=True)),
    (STEM + "Classify", pb.ClassifyRequest(pixels=bytes(784))),
    (STEM + "Classify", pb.ClassifyRequest(encoded_images=[PNG])),
    (STEM + "Read", pb.ReadRequest(model=SMALL, encoded_image=PNG)),
    (STEM + "ClassifyStream", pb.ClassifyStreamRequest(request=pb.ClassifyRequest(model=SMALL, pixels=PIXELS))),
    (STEM + "GetModel", pb.GetModelRequest(model=SMALL)),
    (STEM + "GetNetwork", pb.GetNetworkRequest(model=SMALL, layer=1)),
    (STEM + "ListModels", pb.ListModelsRequest()),
    (INFERENCE + "ModelInfer", _infer(raw_input_contents=[PIXELS])),
    (INFERENCE + "ModelInfer", _infer(raw_input_contents=[PIXELS], model_version="1")),
    (INFERENCE + "ModelInfer", _typed()),
    (INFERENCE + "ModelStreamInfer", _infer(raw_input_contents=[PIXELS])),
    (INFERENCE + "ModelMetadata", oip.ModelMetadataRequest(name=SMALL, version="1")),
    (INFERENCE + "ModelStatistics", ModelStatisticsRequest(name=SMALL)),
    (INFERENCE + "ModelConfig", ModelConfigRequest(name=SMALL)),
    (INFERENCE + "RepositoryIndex", RepositoryIndexRequest(ready=True)),
    (INFERENCE + "RepositoryModelLoad", RepositoryModelLoadRequest(model_name=SMALL)),
    (
        INFERENCE + "SystemSharedMemoryRegister",
        SystemSharedMemoryRegisterRequest(name="r", key="/digits-r", byte_size=64),
    ),
    ("/grpc.health.v1.Health/Check", HealthCheckRequest(service="")),
    ("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", ServerReflectionRequest(list_services="x")),
    (
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        ServerReflectionRequest(file_containing_symbol="digits.v1.DigitsService"),
    ),
]
ENCODED = [(path, message.SerializeToString()) for path, message in MESSAGES]
ON_HTTP = [
    (path, message.SerializeToString(), MessageToDict(message))
    for path, message in MESSAGES
    if path.startswith(STEM) and not path.endswith("Stream")
]


def headers(path: str) -> list[tuple[bytes, bytes]]:
    """Those of a gRPC call."""
    return [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"user-agent", b"fuzz"),
    ]


def settings() -> bytes:
    """The beginning of a connection, as wide as can be."""
    frame = SettingsFrame(0, settings={SettingsFrame.INITIAL_WINDOW_SIZE: WINDOW})
    return PREFACE + frame.serialize() + WindowUpdateFrame(0, window_increment=WINDOW - 65_535).serialize()


def request(stream: int, block: bytes, body: bytes, *, padding: int = 0) -> list[Frame]:
    """The frames of one request with this block of headers."""
    head = HeadersFrame(stream, block[:16_000], flags=[] if block[16_000:] else ["END_HEADERS"])
    rest = [ContinuationFrame(stream, block[at : at + 16_000]) for at in range(16_000, len(block), 16_000)]
    if rest:
        rest[-1].flags.add("END_HEADERS")
    pieces = [body[at : at + 16_000] for at in range(0, len(body), 16_000)] or [b""]
    data = [DataFrame(stream, piece, pad_length=padding, flags=["PADDED"] if padding else []) for piece in pieces]
    data[-1].flags.add("END_STREAM")
    return [head, *rest, *data]


def conversation() -> list[bytes]:
    """What a client says over one connection, frame by frame, one frame of every kind at least."""
    encoder = Encoder()
    path, message = ENCODED[0]
    body = b"\0" + len(message).to_bytes(4, "big") + message
    frames: list[Frame] = [SettingsFrame(0, settings={3: 100, 4: 65_535}), SettingsFrame(0, flags=["ACK"])]
    frames.append(WindowUpdateFrame(0, window_increment=1000))
    for stream in (1, 3, 5):
        frames += request(stream, encoder.encode(headers(path)), body, padding=stream - 1)
        frames.append(WindowUpdateFrame(stream, window_increment=5))
    frames.append(PriorityFrame(5, depends_on=3, stream_weight=9))
    frames += [PingFrame(0, b"12345678"), RstStreamFrame(5, error_code=8), GoAwayFrame(0, last_stream_id=0)]
    return [frame.serialize() for frame in frames]
