"""Ray Serve's gRPC listens on every address and has no setting for it; a benchmark has no business there."""

import grpc.aio

_add = grpc.aio._server.Server.add_insecure_port


def _add_on_loopback(self: object, address: str) -> int:
    return _add(self, address.replace("[::]", "127.0.0.1"))


grpc.aio._server.Server.add_insecure_port = _add_on_loopback
