"""Clients in threads that call until they are told to stop, and count what became of it."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import grpc
import numpy as np
from digits_client import DigitsClient, DigitsError
from digits_protocol.digits.v1 import digits_pb2 as pb

from tests.support.server import Stub


@dataclass
class Load:
    """`with Load(address, 8) as load:` calls from eight clients while the block runs."""

    address: str
    clients: int
    answered: int = 0
    failed: list[str] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call) for _ in range(self.clients)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _call(self) -> None:
        image = np.zeros((28, 28), np.uint8)
        with DigitsClient(self.address, timeout=20) as client:  # with its retries, as its users have it
            while not self._over.is_set():
                try:
                    client.classify(image)
                    failure = None
                except DigitsError as error:
                    failure = repr(error)
                with self._lock:
                    self.answered += failure is None
                    self.failed += [failure] if failure else []


def call_until_refused(address: str, model: str, images: int, count: Callable[[str], None]) -> None:
    """Call without any retry until nobody listens any more. `count` is told of each call what became of it:
    `answered`; `not taken` when no connection was made for it, or the server said as it went that it had not begun
    with it (HTTP/2's GOAWAY, on which a client may call elsewhere); or else the error.
    """
    options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
    request = pb.ClassifyRequest(model=model, pixels=bytes(784 * images))
    with grpc.insecure_channel(address, options) as channel:
        stub = Stub(channel)
        while True:
            try:
                answer = stub.classify(request, timeout=30)
                count("answered" if len(answer.predictions) == images else f"{len(answer.predictions)} answers")
            except grpc.RpcError as error:
                details = error.details() or ""
                refused = error.code() == grpc.StatusCode.UNAVAILABLE and "ailed to connect" in details
                left = "Stream removed (GOAWAY received; Error code: 0;" in details
                count("not taken" if refused or left else f"{error.code().name}: {details}")
                if refused:
                    return
                time.sleep(0.05)
