"""`digits models` and `digits health` against the real server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifact.store import find_versions
from tests.support.processes import run_digits
from tests.support.server import MODELS

DIGITS = str(Path(sys.executable).with_name("digits"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"} | {"COLUMNS": "120"}
    return run_digits(*arguments, env=environment)


def test_models_as_a_table(server):
    """Each version is a row with shape, range and accuracy; the default is marked, the limits stand below."""
    done = run("models", f"--server={server.address}")
    assert done.returncode == 0
    rows = {tuple(line.split()[:2]): line for line in done.stdout.splitlines() if "ready" in line}
    assert len(rows) == len(find_versions(MODELS))
    assert "8×8" in rows["digits-8x8", "1"]
    assert "0..16" in rows["digits-8x8", "1"]
    assert [line for line in rows.values() if "(default)" in line] == [rows["mnist-256x128", "(default)"]]
    assert all(line.rstrip().endswith("%") for line in rows.values())
    assert "One call carries up to 1024 images and 16 MiB." in done.stdout
    assert "\x1b" not in done.stdout
    narrow = run_digits("models", f"--server={server.address}", env=dict(os.environ) | {"COLUMNS": "80"}).stdout
    assert "mnist-256x128 (default)" in narrow


def test_models_for_machines(server):
    """--json has the same as one object, accuracy as a number."""
    listing = json.loads(run("models", f"--server={server.address}", "--json").stdout)
    assert listing["default_model"] == "mnist-256x128"
    assert listing["max_rows"] == 1024
    assert {(each["name"], each["version"]) for each in listing["models"]} >= {
        ("mnist-16x16", "2"),
        ("mnist-large", "1"),
        ("digits-8x8", "1"),
    }
    assert all(0.9 < each["accuracy"] <= 1 for each in listing["models"])


def test_models_without_a_server():
    """No server is one sentence and exit code 1."""
    done = run("models", "--server=127.0.0.1:1")
    assert done.returncode == 1
    assert done.stderr == "digits: cannot reach 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize("service", ["", "digits.v1.DigitsService", "mnist-16x16"])
def test_health_of_what_serves(server, service: str):
    """A serving server, service or model is exit code 0."""
    done = run("health", f"--server={server.address}", f"--service={service}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "SERVING\n", "")


def test_health_of_what_is_unknown(server):
    """A name that the server does not know is exit code 1."""
    done = run("health", f"--server={server.address}", "--service=x")
    assert (done.returncode, done.stdout) == (1, "SERVICE_UNKNOWN\n")


def test_health_of_nobody():
    """No answer is exit code 3 and one sentence, apart from the 1 of a server that says no and the 2 of wrong usage."""
    done = run("health", "--server=127.0.0.1:1", "--timeout=2")
    assert done.returncode == 3
    assert done.stderr == "digits: cannot reach 127.0.0.1:1: Connection refused\n"


@pytest.mark.parametrize(("command", "code"), [(["health"], 3), (["models"], 1), (["classify", "-"], 1)])
def test_the_port_for_http_is_named_as_the_wrong_one(server, command: list[str], code: int):
    """Whoever takes 8000 for 8001 is told so, whatever the command."""
    address = f"127.0.0.1:{server.http_port}"
    done = run(*command, f"--server={address}")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith(f"digits: {address} is no gRPC server: it answered with HTTP status 4")
    assert done.stderr.endswith("; a digits server takes gRPC on port 8001 by default\n")


@pytest.mark.parametrize("address", ["", ":", "http://x", "host:99999", "dns:", "localhost:"])
@pytest.mark.parametrize("command", ["health", "models"])
def test_an_address_that_cannot_be_one(command: str, address: str):
    """A malformed address is wrong usage: one sentence without gRPC's traces, and exit code 2."""
    done = run(command, f"--server={address}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"digits: the server's address is '{address}', expected HOST:PORT, e.g. localhost:8001\n"


@pytest.mark.parametrize("command", ["health", "models"])
@pytest.mark.parametrize("timeout", ["inf", "1e18"])
def test_a_timeout_without_end(command: str, timeout: str):
    """A timeout that is no span of time is wrong usage, in one sentence."""
    done = run(command, "--server=127.0.0.1:1", f"--timeout={timeout}")
    assert done.returncode == 2
    assert done.stderr.startswith("digits: the timeout is ")
    assert done.stderr.count("\n") == 1


def test_health_of_a_name_that_is_not_known():
    """A host that no name service knows is no answer: one sentence with the reason."""
    done = run("health", "--server=nohost.invalid:80", "--timeout=5")
    assert done.returncode == 3
    assert done.stderr.startswith("digits: ")
    assert "field:" not in done.stderr
    assert done.stderr.count("\n") == 1
