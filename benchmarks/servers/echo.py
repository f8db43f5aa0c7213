"""A bare `grpc.aio` server: the lower bound of any Python gRPC service.

`python -m benchmarks.servers.echo PORT ANSWERS` answers every method, and does nothing but send the bytes that
ANSWERS, a JSON file, has for a request of that size: `{"<request bytes>": "<answer in hexadecimal>"}`. It
runs under the same loop and settings as the service.
"""

import json
import sys
from pathlib import Path
from typing import Any

import service  # noqa: F401 - the settings that grpc reads when imported

# isort: split
import grpc
import uvloop


async def echo(port: int, answers: dict[int, bytes]) -> None:
    """Serve until killed."""

    async def answer(request: bytes, context: Any) -> bytes:
        return answers[len(request)]

    handler = grpc.unary_unary_rpc_method_handler(answer)

    class EveryMethod(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> Any:
            return handler

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)])
    server.add_generic_rpc_handlers([EveryMethod()])
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    recorded = json.loads(Path(sys.argv[2]).read_text())
    uvloop.run(echo(int(sys.argv[1]), {int(size): bytes.fromhex(answer) for size, answer in recorded.items()}))
