"""The connections of a client for threads, and the translation of gRPC's errors."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from digits_client.connection.channel import OPTIONS, Deadline
from digits_client.connection.endpoint import Endpoint
from digits_client.connection.forks import check_process
from digits_client.errors import ClientClosed, from_rpc


class Channels:
    """Channels that calls use in turn."""

    def __init__(self, endpoint: Endpoint, count: int = 1) -> None:
        check_process("grpc")
        self._endpoint = endpoint
        self._channels = [endpoint.open(grpc, OPTIONS) for _ in range(count)]
        self._turn = itertools.count()
        self._closed = False

    def close(self) -> None:
        """Close all channels. Calls in flight end."""
        self._closed = True
        for channel in self._channels:
            channel.close()

    def next(self) -> Any:
        """The next channel in turn."""
        return self._channels[next(self._turn) % len(self._channels)]

    @contextmanager
    def calling(self, deadline: Deadline) -> Iterator[None]:
        """Around a call with this deadline: translates the errors of gRPC into a `DigitsError`."""
        try:
            check_process("grpc")
            yield
        except grpc.RpcError as cause:
            if self._closed and cause.code() == grpc.StatusCode.CANCELLED:
                raise ClientClosed from cause
            raise from_rpc(cause, str(self._endpoint), deadline.seconds) from cause
        except ValueError as cause:
            if self._closed:  # gRPC's error for a closed channel
                raise ClientClosed from cause
            raise
