"""A client in a fork that gRPC does not survive says so, where a call would wait for ever."""

import subprocess
import sys

import pytest

from tests.support.processes import environment

# A child with the client that was used before the fork, and one with a new one.
CODE = """
import asyncio, os, sys
from digits_client import AsyncDigitsClient, ClientClosed, DigitsClient

target, kind = sys.argv[1:]
make = DigitsClient if kind == "grpc" else AsyncDigitsClient


def ask(client):
    return client.health().name if kind == "grpc" else asyncio.run(client.health()).name


client = make(target)
ask(client)
for old in True, False:
    if os.fork() == 0:
        try:
            print(ask(client if old else make(target)), flush=True)
        except ClientClosed:
            print("forked", flush=True)
        os._exit(0)
    os.wait()
print(ask(client), flush=True)
"""


@pytest.mark.parametrize(("kind", "support"), [("grpc", "0"), ("grpc", "1"), ("grpc.aio", ""), ("grpc.aio", "0")])
@pytest.mark.front("grpcio")
def test_a_client_in_a_fork(server, kind: str, support: str):
    """Threads where the environment touches gRPC's support of forks, asyncio always; the parent goes on."""
    env = {name: value for name, value in environment().items() if not name.startswith("GRPC_")}
    if support:
        env["GRPC_ENABLE_FORK_SUPPORT"] = support
    command = [sys.executable, "-c", CODE, server.address, kind]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=env)
    assert done.stdout.split() == ["forked", "forked", "SERVING"]
