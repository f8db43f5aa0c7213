"""What tests of metrics call, and how they read what was counted."""

from pathlib import Path

from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.message import Message

from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.server import small_models

STEM = "digits.v1.DigitsService/"
CLASSIFY, STREAM = STEM + "Classify", STEM + "ClassifyStream"
INFER = "inference.GRPCInferenceService/ModelInfer"
MNIST = ("mnist-16x16", "2")
ONE = pb.ClassifyRequest(pixels=bytes(784))


def settings(models: Path | None = None, **given: object) -> Settings:
    return Settings(models=models or small_models(), log_level="error", **given)


async def ask(app: App, method: str, request: Message, call: LocalContext | None = None) -> Message:
    return await app.methods[f"/{method}"].handler(request, call or LocalContext())


async def values(app: App, name: str) -> dict[tuple[str, ...], object]:
    """The series of a family by their label values, those that are 0 left out."""
    return {tuple(labels): value for labels, value in (await app.metrics())[name] if value}


async def count(app: App, name: str, *labels: str) -> int:
    """How many observations a series of a histogram has, 0 if there is no such series."""
    histogram = (await values(app, name)).get(labels)
    return sum(histogram["counts"]) if histogram else 0
