"""A docker-compose project of its own, on free ports of 127.0.0.1."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import grpc
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.processes import ROOT, environment, free_port

COMPOSE = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
SECONDS = 120


def docker(*arguments: str, check: bool = True, seconds: float = SECONDS) -> str:
    """What `docker …` prints."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}: {done.stderr}{done.stdout}"
    return done.stdout.strip()


def inspect(container: str) -> dict[str, Any]:
    """What Docker knows of a container."""
    return json.loads(docker("inspect", container))[0]


def until(question: Callable[[], Any], what: str, seconds: float = SECONDS) -> Any:
    """Ask until the answer is true; what it raises for want of an answer counts as none."""
    end = time.monotonic() + seconds
    while True:
        with suppress(OSError, AssertionError, KeyError, IndexError, grpc.RpcError):
            if answer := question():
                return answer
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.2)


def get(url: str) -> str:
    """The body at `url`."""
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read().decode()


class Stack:
    """One project: what `docker-compose` starts for it, and takes away."""

    def __init__(self, name: str, **variables: str) -> None:
        self.name = f"digits-test-{name}"
        self.grpc, self.http, self.prometheus = (free_port() for _ in range(3))
        self.variables = environment() | {
            "COMPOSE_PROJECT_NAME": self.name,
            "GRPC_PORT": str(self.grpc),
            "HTTP_PORT": str(self.http),
            "PROMETHEUS_PORT": str(self.prometheus),
            **variables,
        }

    def compose(self, *arguments: str, seconds: float = SECONDS) -> str:
        """What `docker-compose …` prints."""
        command = [*COMPOSE, "--env-file", ".env.example", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, env=self.variables, cwd=ROOT)
        assert done.returncode == 0, f"{' '.join(arguments)}: {done.stderr}{done.stdout}"
        return done.stdout

    def up(self, *arguments: str) -> None:
        """Start it, and wait until its address serves."""
        self.compose("up", "-d", *arguments)
        until(lambda: get(f"http://127.0.0.1:{self.http}/readyz") == "ready\n", "the address is ready")
        channel = grpc.insecure_channel(self.address)
        grpc.channel_ready_future(channel).result(SECONDS)
        channel.close()

    @property
    def address(self) -> str:
        """That of gRPC, on the host."""
        return f"127.0.0.1:{self.grpc}"

    def containers(self, service: str) -> list[str]:
        """Identifiers of the containers of a service that run."""
        labels = {"project": self.name, "service": service}
        filters = [f"--filter=label=com.docker.compose.{key}={value}" for key, value in labels.items()]
        return docker("ps", "-q", "--no-trunc", *filters).split()

    def address_of(self, container: str) -> str:
        """A container's own address in the network `inside`, which this host can reach."""
        return inspect(container)["NetworkSettings"]["Networks"][f"{self.name}_inside"]["IPAddress"]

    def calls_of(self, container: str) -> float:
        """How many calls of Classify a container has answered."""
        return sum(
            sample.value
            for family in parse(get(f"http://{self.address_of(container)}:8000/metrics"))
            for sample in family.samples
            if sample.name == "digits_requests_total" and sample.labels["method"].endswith("/Classify")
        )

    def down(self) -> None:
        """Take everything away."""
        self.compose("--profile", "monitoring", "down", "--volumes", "--remove-orphans")
