"""The real server for every test that wants one, on a free port of 127.0.0.1."""

import gc
import gzip
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import hypothesis
import numpy as np
import pytest
from PIL import Image

from engine.cpus import usable_cores
from service.transports.envoy.program import EnvoyMissing, check_envoy
from tests.support.processes import ROOT, environment, start_digits
from tests.support.server import MODELS, Server, StartServer, Stub, small_models

MNIST = ROOT / "tests" / "data" / "mnist"

hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "extra(program): needs a program that is no Python package")
    config.addinivalue_line("markers", "front(name): about what only that front does, or what both do by the same code")


def pytest_xdist_auto_num_workers() -> int:
    """For `-n auto`: one more than there are cores, since tests also wait for servers."""
    return usable_cores() + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what need not be run on the other front."""

    def wanted(item: pytest.Item) -> bool:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        return all(params.get("front") == marker.args[0] for marker in item.iter_markers("front"))

    items[:] = filter(wanted, items)


def pytest_collection_finish() -> None:
    """What was imported stays, so the garbage collector need not look through it again and again."""
    gc.collect()
    gc.freeze()


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what this machine cannot run, saying so; `make check` sets REQUIRE_EXTRAS, and then it fails."""
    for marker in item.iter_markers("extra"):
        [program] = marker.args
        if shutil.which(program) is None:
            _lacking(f"{program} is not on the PATH")


def _lacking(sentence: str) -> NoReturn:
    if os.environ.get("REQUIRE_EXTRAS"):
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)


@pytest.fixture(scope="session", params=["grpcio", "envoy"])
def front(request: pytest.FixtureRequest) -> str:
    """Every test of a server is run on either front."""
    if request.param == "envoy":
        try:
            check_envoy()
        except EnvoyMissing as error:
            _lacking(str(error))
    return request.param


@contextmanager
def servers_of(front: str) -> Iterator[StartServer]:
    """Start `digits serve` with some flags and the small models, and wait until it serves; both may be changed.

    Ends all of them at the end.
    """
    servers: list[Server] = []

    def start(
        *flags: str,
        models: Path | None = None,
        wait: bool = True,
        env: dict[str, str] | None = None,
        port: int | None = 0,
        group: bool = False,
        cwd: Path | None = None,
    ) -> Server:
        given = [f"--front={front}", "--http-port=0", *([] if port is None else [f"--port={port}"])]
        process = start_digits(
            "serve",
            f"--models={models or small_models()}",
            "--log-format=json",
            *given,
            *flags,
            stderr=subprocess.PIPE,
            env=environment(**(env or {})),
            start_new_session=group,
            cwd=cwd,
        )
        server = Server(process)
        servers.append(server)
        if wait:
            serving = server.wait_for("serving")
            server.port, server.http_port = serving["port"], serving["http_port"]
        return server

    yield start
    for server in servers:
        if server.process.poll() is None:
            server.signal(signal.SIGTERM)  # to all of them first: each takes its time to end
    for server in servers:
        server.wait()


# Servers end with the test, the module or the session that wanted them: one that only waits costs time as well.
@pytest.fixture
def start_server(front: str) -> Iterator[StartServer]:
    """See `servers_of`."""
    with servers_of(front) as start:
        yield start


@pytest.fixture(scope="module")
def start_for_module(front: str) -> Iterator[StartServer]:
    """The same for fixtures that the tests of a module share."""
    with servers_of(front) as start:
        yield start


@pytest.fixture(scope="session")
def server(front: str) -> Iterator[Server]:
    """One server with the committed models, shared by all tests that leave it as it was."""
    with servers_of(front) as start:
        yield start(models=MODELS)


@pytest.fixture
def stub(server: Server) -> Iterator[Stub]:
    """The service of the shared server."""
    with server.channel() as channel:
        yield Stub(channel)


@pytest.fixture(scope="session", autouse=True)
def small_pictures() -> Iterator[None]:
    """Reports of models show few mistakes and neurons, and these coarsely: what takes long is drawing them."""
    with (
        patch.multiple("training.report.pictures", _MISTAKES=1, _NEURONS=2),
        patch.multiple("training.report.report", _DPI=40),
    ):
        yield


@pytest.fixture(scope="session")
def mnist_test() -> tuple[np.ndarray, np.ndarray]:
    """MNIST's test set: pixels uint8 [10000, 784] and labels uint8 [10000]."""
    pixels = gzip.decompress((MNIST / "t10k-images-idx3-ubyte.gz").read_bytes())
    labels = gzip.decompress((MNIST / "t10k-labels-idx1-ubyte.gz").read_bytes())
    return np.frombuffer(pixels, np.uint8, offset=16).reshape(-1, 784), np.frombuffer(labels, np.uint8, offset=8)


@pytest.fixture(scope="session")
def seven(mnist_test: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PNG of 140×140 with a seven in black ink on white."""
    path = tmp_path_factory.mktemp("images") / "seven.png"
    Image.fromarray(255 - mnist_test[0][0].reshape(28, 28)).resize((140, 140)).save(path)
    return path
