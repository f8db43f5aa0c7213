"""`digits models` and `digits health` against the real server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

DIGITS = str(Path(sys.executable).with_name("digits"))


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {key: value for key, value in os.environ.items() if key != "FORCE_COLOR"} | {"COLUMNS": "120"}
    return subprocess.run([DIGITS, *arguments], capture_output=True, text=True, timeout=60, env=environment)


def test_models_as_a_table(server):
    """Each version is a row with shape, range and accuracy; the default is marked, the limits stand below."""
    done = run("models", f"--server={server.address}")
    assert done.returncode == 0
    rows = {tuple(line.split()[:2]): line for line in done.stdout.splitlines() if "ready" in line}
    assert len(rows) == 3
    assert "8×8" in rows["digits-8x8", "1"]
    assert "0..16" in rows["digits-8x8", "1"]
    assert [line for line in rows.values() if "(default)" in line] == [rows["mnist-16x16", "(default)"]]
    assert all(line.rstrip().endswith("%") for line in rows.values())
    assert "One call carries up to 1024 images and 16 MiB." in done.stdout
    assert "\x1b" not in done.stdout


def test_models_for_machines(server):
    """--json has the same as one object, accuracy as a number."""
    listing = json.loads(run("models", f"--server={server.address}", "--json").stdout)
    assert listing["default_model"] == "mnist-16x16"
    assert listing["max_rows"] == 1024
    assert {(each["name"], each["version"]) for each in listing["models"]} >= {
        ("mnist-16x16", "2"),
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
