"""Mutated frames, headers and messages thrown at the real servers.

FUZZ_COUNT says how many in all at each front; the few of a plain run are the first of them. The seeds stand in
seeds.txt. `make fuzz` throws 300,000.
"""

import asyncio
import os
import random
import struct
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from rich.progress import Progress

from tests.fuzz.attacks import calls, connections, http_calls, http_connections, rest_calls
from tests.support.server import STEM, Server, StartServer, family

SEEDS = [int(line) for line in Path(__file__).with_name("seeds.txt").read_text().split()]
COUNT = int(os.environ.get("FUZZ_COUNT", "400"))
AT_ONCE = 4
# What the allocator keeps and what is remembered of heads: nothing that grows with the count.
MOST_MIB = 60

INFER = "/v2/models/digits-8x8/infer"

Attack = Callable[[random.Random, int, int], Awaitable[int]]
# The attack, whether it goes to the HTTP port, its share of the count.
ATTACKS: dict[str, tuple[Attack, bool, float]] = {
    "gRPC calls": (calls, False, 0.4),
    "HTTP/2 connections": (connections, False, 0.1),
    "HTTP calls": (http_calls, True, 0.13),
    "HTTP connections": (http_connections, True, 0.03),
    "REST calls": (rest_calls, True, 0.34),
}


class Witness:
    """Makes good calls by both ports, on connections of its own, all along; each must be answered as the first."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._over = threading.Event()
        self.answered = 0
        self.error: Exception | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Witness":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join(60)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        pixels = bytes(i % 17 for i in range(64))
        request = pb.ClassifyRequest(model="digits-8x8", pixels=pixels)
        try:
            with self._server.channel() as channel:
                call = channel.unary_unary(STEM + "Classify", response_deserializer=pb.ClassifyResponse.FromString)
                first = call(request.SerializeToString(), timeout=20, wait_for_ready=True).predictions
                while not self._over.wait(0.02):
                    assert call(request.SerializeToString(), timeout=20, wait_for_ready=True).predictions == first
                    status, _, body = self._server.http(
                        STEM + "Classify", request.SerializeToString(), content_type="application/proto"
                    )
                    assert status == 200
                    assert pb.ClassifyResponse.FromString(body).predictions == first
                    status, _, body = self._server.http(INFER, pixels, inference_header_content_length="0")
                    assert status == 200
                    scores = list(first[0].scores)
                    assert struct.unpack(f"<{len(scores)}f", body[-4 * len(scores) :]) == tuple(scores)
                    self.answered += 1
        except Exception as error:
            self.error = error


async def throw(server: Server, name: str, attack: Attack, port: int, count: int) -> None:
    """`count` of one kind; raises what is wrong, with the seed that shows it again."""
    left = count
    number = 0

    async def attacker() -> None:
        nonlocal left, number
        while left > 0:
            share = min(left, 50)
            seed = f"{SEEDS[number % len(SEEDS)]}/{name}/{number}"
            number += 1
            left -= share
            while share > 0:
                try:
                    done = await attack(random.Random(seed), port, share)
                except Exception as error:
                    how = "".join(server.text[-20:]) if server.process.poll() is None else server.process.wait()
                    raise AssertionError(f"{name}, seed {seed}: {error!r}, {how}") from error
                share -= done
                seed += "'"
                progress.advance(task, done)

    with Progress(disable=count < 10_000) as progress:
        task = progress.add_task(name, total=count)
        await asyncio.gather(*(attacker() for _ in range(AT_ONCE)))


@pytest.fixture(scope="module")
def target(start_for_module: StartServer) -> Server:
    return start_for_module()


async def test_mutated_traffic_harms_nobody(target: Server):
    """No crash, no hang, no leak, nothing in the log that was not foreseen; others are served meanwhile."""
    for part, count in (("before", COUNT // 10), ("after", COUNT - COUNT // 10)):
        processes = sorted(family(target.process.pid))
        lines = len(target.text)
        memory = target.resident_mib()
        with Witness(target) as witness:
            for name, (attack, on_http, share) in ATTACKS.items():
                port = target.http_port if on_http else target.port
                await throw(target, f"{name} {part}", attack, port, round(share * count))
        if witness.error is not None:
            raise witness.error
        assert witness.answered > 0
        assert sorted(family(target.process.pid)) == processes
        unforeseen = [
            line[:300] + line[line.find("exc_type") :][:300]
            for line in target.text[lines:]
            if '"level": "error"' in line or '"level": "critical"' in line
        ]
        assert unforeseen == []
    assert target.resident_mib() < memory + MOST_MIB
    print(f"\n{COUNT} thrown, {witness.answered} good calls, {memory:.0f} -> {target.resident_mib():.0f} MiB")  # noqa: T201 - what `make fuzz` is for
