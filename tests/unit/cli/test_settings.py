"""A client reads the settings it needs; what is wrong with a server's does not stop it."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.support.processes import environment, run_digits
from tests.support.server import MODELS
from tests.unit.service.test_config import KUBERNETES

# What no server would start with.
WRONG = {
    "DIGITS_PORT": "eight",
    "DIGITS_PROT": "8001",
    "DIGITS_WORKERS": "many",
    "DIGITS_TLS_CERT": "/nowhere",
    "DIGITS_TOKEN_FILE": "/nowhere",
    "DIGITS_MAX_QUEUE_ROWS": "1",
    "DIGITS_LOG_LEVEL": "loud",
    "DIGITS_FRONT": "nginx",
}


def run(*arguments: object, **settings: str) -> tuple[int, str, str]:
    done = run_digits(*arguments, env=environment(**settings))
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def row(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rows") / "row.npy"
    np.save(path, np.zeros((1, 784), np.uint8))
    return path


@pytest.mark.parametrize("settings", [WRONG, KUBERNETES], ids=["wrong", "Kubernetes"])
def test_commands_for_a_server_elsewhere(server, row: Path, seven: Path, tmp_path: Path, settings: dict[str, str]):
    """They read none at all."""
    at = f"--server={server.address}"
    assert run("health", at, **settings)[:2] == (0, "SERVING\n")
    assert run("models", at, **settings)[0] == 0
    assert json.loads(run("classify", at, "--json", seven, **settings)[1])["digit"] == 7
    assert run("score", row, at, f"--out={tmp_path / 'a.csv'}", **settings)[0] == 0


@pytest.mark.parametrize("settings", [WRONG, KUBERNETES], ids=["wrong", "Kubernetes"])
def test_commands_without_a_server(row: Path, seven: Path, tmp_path: Path, settings: dict[str, str]):
    """They read which models, and what they run on."""
    models = {"DIGITS_MODELS": str(MODELS), "DIGITS_DEFAULT_MODEL": "mnist-large"}
    code, out, _ = run("classify", "--local", "--json", seven, **settings, **models)
    assert (code, json.loads(out)["model"]["name"]) == (0, "mnist-large")
    code, out, _ = run("score", row, f"--out={tmp_path / 'a.csv'}", "--json", **settings, **models)
    assert (code, json.loads(out)["model"]["name"]) == (0, "mnist-large")


def test_a_setting_that_is_needed_is_checked(row: Path, seven: Path, tmp_path: Path):
    """By its name."""
    wrong = {"DIGITS_PROVIDER": "tpu", "DIGITS_MODELS": str(MODELS)}
    for command in (("classify", "--local", seven), ("score", row, f"--out={tmp_path / 'a.csv'}")):
        code, _, said = run(*command, **wrong)
        assert (code != 0, "DIGITS_PROVIDER" in said) == (True, True)
