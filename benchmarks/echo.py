"""A bare `grpc.aio` server of one method: the floor that any Python gRPC service stands on.

`python -m benchmarks.echo RESPONSE_BYTES` listens on a free port and prints it. It answers every
request with that many bytes and does nothing else, under the same loop and settings as the service.
"""

import sys
from typing import Any

import service  # noqa: F401 - the settings that grpc reads when imported

# isort: split
import grpc
import uvloop

PATH = "/bare.Echo/Echo"


async def echo(response: bytes) -> None:
    """Serve until killed."""

    async def answer(request: bytes, context: Any) -> bytes:
        return response

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
    handlers = {"Echo": grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bare.Echo", handlers)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(echo(bytes(int(sys.argv[1]))))
