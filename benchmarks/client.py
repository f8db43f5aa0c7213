"""A closed-loop client on grpcio, for machines without h2load; `benchmarks.load` starts it."""

import asyncio
import sys
import time

import grpc
import numpy as np
import uvloop


async def drive(port: int, path: str, request: bytes, calls: int, connections: int, streams: int) -> np.ndarray:
    """float64: the seconds it all took, then the microseconds of each call."""
    left = iter(range(calls))
    durations: list[float] = []

    async def caller(channel: grpc.aio.Channel) -> None:
        call = channel.unary_unary(path)
        for _ in left:
            began = time.perf_counter()
            await call(request)
            durations.append((time.perf_counter() - began) * 1e6)

    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    channels = [grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=options) for _ in range(connections)]
    began = time.perf_counter()
    await asyncio.gather(*(caller(channel) for channel in channels for _ in range(streams)))
    seconds = time.perf_counter() - began
    for channel in channels:
        await channel.close()
    return np.array([seconds, *durations])


if __name__ == "__main__":
    port, path, *numbers = sys.argv[1:]
    body = sys.stdin.buffer.read()
    sys.stdout.buffer.write(uvloop.run(drive(int(port), path, body, *map(int, numbers))).tobytes())
