"""Who may call in tests of tokens, and how a call of theirs ends."""

import time
from pathlib import Path

import grpc
import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb

from tests.support.server import Server, Stub

IMAGE = np.zeros((28, 28), np.uint8)
ANNA, BEN = "anna-anna-anna-anna", "ben-ben-ben-ben-ben"
LIST = "/digits.v1.DigitsService/ListModels"


def write(file: Path, **tokens: str) -> None:
    text = "# who may call\n\n" + "".join(f"{name}: {token}\n" for name, token in tokens.items())
    if not file.exists() or file.read_text() != text:
        file.write_text(text)
        time.sleep(1.2)  # a server looks once a second


def bearer(token: str) -> list[tuple[str, str]]:
    return [("authorization", f"Bearer {token}")]


def code(server: Server, metadata: list[tuple[str, str]]) -> grpc.StatusCode:
    with server.channel() as channel:
        try:
            Stub(channel).classify(pb.ClassifyRequest(pixels=IMAGE.tobytes()), metadata=metadata, timeout=10)
        except grpc.RpcError as error:
            return error.code()
    return grpc.StatusCode.OK
