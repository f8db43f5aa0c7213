"""Jobs on a server that is busy, restarts, goes away or changes under them."""

import os
import signal
import time
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_client.inference import InferenceClient

from scoring import ScorerError, score
from scoring.scorers.remote import RemoteScorer
from tests.support.repositories import place
from tests.support.server import MODELS, Server, StartServer
from tests.unit.scoring.jobs import ended, run, start, wait_for_parts

SHARING = "--shared-memory=digits-test-"
BY_MEMORY = "--shared-memory=digits-test-"
BY_GRPC = "--shared-memory="
CHUNK = "--chunk-rows=1024"
RESTARTS = int(os.environ.get("RESTART_COUNT", "1"))


@pytest.fixture(scope="module")
def pixels(mnist_test: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MNIST's test images twice over, or as often as the long form takes."""
    path = tmp_path_factory.mktemp("server") / "pixels.npy"
    np.save(path, np.tile(mnist_test[0], (max(2, RESTARTS), 1)))
    return path


@pytest.fixture(scope="module")
def calm(pixels: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What mnist-large makes of them in this process."""
    output = tmp_path_factory.mktemp("calm") / "out.parquet"
    score(pixels, output, models=MODELS, model="mnist-large", chunk_rows=1024)
    return output.read_bytes()


@pytest.mark.parametrize("way", [BY_MEMORY, BY_GRPC])
def test_a_server_killed_and_restarted_leaves_no_trace(
    start_server: StartServer, pixels: Path, calm: bytes, way: str, tmp_path: Path
):
    """With SIGKILL, on the same port: the job waits, and its output has the bytes of an undisturbed run.

    RESTART_COUNT=5 for the long form.
    """
    output = tmp_path / "out.parquet"
    server = start_server(SHARING, models=MODELS)
    process = start(pixels, "--out", output, "--server", server.address, "--model=mnist-large", CHUNK, way)
    for restart in range(RESTARTS):
        wait_for_parts(output, 4 * restart + 1)
        assert process.poll() is None, process.communicate()
        _kill(server)
        server = start_server(SHARING, port=server.port, models=MODELS)
    code, _, err = ended(process)
    assert code == 0, err
    assert output.read_bytes() == calm
    server.end()


def test_a_server_that_drains_under_a_job_loses_nothing(
    start_server: StartServer, pixels: Path, calm: bytes, tmp_path: Path
):
    """SIGTERM, and another one on the port."""
    output = tmp_path / "out.parquet"
    server = start_server(SHARING, models=MODELS)
    process = start(pixels, "--out", output, "--server", server.address, "--model=mnist-large", CHUNK, BY_GRPC)
    wait_for_parts(output, 3)
    server.end()
    server = start_server(SHARING, port=server.port, models=MODELS)
    code, _, err = ended(process)
    assert code == 0, err
    assert output.read_bytes() == calm
    server.end()


@pytest.mark.front("grpcio")  # what the job does is the same, whoever speaks HTTP/2
def test_a_server_that_goes_away_for_good_ends_the_job_with_a_sentence(
    start_server: StartServer, pixels: Path, calm: bytes, tmp_path: Path
):
    """Once patience is spent; what was scored is kept, and another server, or none, ends the job."""
    output = tmp_path / "out.parquet"
    server = start_server(models=MODELS)
    job = [pixels, "--out", output, "--model=mnist-large", CHUNK]
    process = start(*job, "--server", server.address, "--patience=2")
    wait_for_parts(output, 2)
    _kill(server)
    code, _, err = ended(process)
    assert code == 1
    assert f"digits: {server.address} gave no answer for 2 s: cannot reach {server.address}" in err
    assert "--resume" in err
    assert "Traceback" not in err
    assert not output.exists()
    run(*job, "--resume")
    assert output.read_bytes() == calm


def test_a_server_that_is_not_there_is_told_at_once(pixels: Path, tmp_path: Path):
    """Whatever the patience, and no parts are begun."""
    began = time.monotonic()
    _, err = run(pixels, "--out", tmp_path / "out.parquet", "--server=127.0.0.1:1", code=1)
    assert time.monotonic() - began < 20
    assert "cannot reach 127.0.0.1:1" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.front("grpcio")  # what the job does is the same, whoever speaks HTTP/2
def test_another_version_after_a_restart_ends_the_job(
    start_server: StartServer, pixels: Path, calm: bytes, tmp_path: Path
):
    """No row of another model gets into the table; once the server has the version again the job goes on."""
    models, output = tmp_path / "models", tmp_path / "out.parquet"
    place(models, "mnist-large", 1)
    server = start_server(models=models)
    job = [pixels, "--out", output, CHUNK, "--model=mnist-large:1"]
    process = start(*job, "--server", server.address)
    wait_for_parts(output, 2)
    _kill(server)
    others = tmp_path / "others"
    place(others, "mnist-large", 2)
    server = start_server(models=others, port=server.port)
    code, _, err = ended(process)
    assert code == 1
    assert "has no longer what the job began with: model mnist-large has no version '1'; it has 2" in err
    server.end()
    server = start_server(models=models, port=server.port)
    run(*job, "--server", server.address, "--resume")
    assert len(output.read_bytes()) == len(calm)
    server.end()


def test_another_file_under_the_same_version_ends_the_job(start_server: StartServer, pixels: Path, tmp_path: Path):
    """Every answer tells the SHA-256 of its model."""
    models = tmp_path / "models"
    place(models, "mnist-16x16", 1)
    server = start_server("--model-control=poll", "--poll-seconds=0.1", models=models)
    with RemoteScorer(server.address) as scorer:
        images, digits, scores = np.zeros((5, 784), np.uint8), np.empty(5, np.int64), np.empty((5, 10), np.float32)
        scorer.score(images, digits, scores)
        place(models, "mnist-16x16", 1, source=2)
        deadline = time.monotonic() + 30

        def score_on() -> None:
            while time.monotonic() < deadline:
                scorer.score(images, digits, scores)

        with pytest.raises(ScorerError, match=r"mnist-16x16 version 1 on .* is not what it was"):
            score_on()
    server.end()


@pytest.mark.front("grpcio")  # what the job does is the same, whoever speaks HTTP/2
def test_a_full_queue_makes_the_job_wait(start_server: StartServer, pixels: Path, tmp_path: Path):
    """More calls in flight than the queue holds: refused ones are repeated, as the server bids."""
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    score(pixels, here, models=MODELS, model="mnist-large")
    server = start_server("--max-batch-rows=256", "--max-queue-rows=256", models=MODELS)
    score(pixels, there, server=server.address, model="mnist-large", calls=8)
    assert here.read_bytes() == there.read_bytes()
    refused = sum(server.metrics()["digits_refused_total"].values())
    assert refused > 0
    server.end()


def test_calls_fit_into_what_the_server_takes(start_server: StartServer, pixels: Path, tmp_path: Path):
    """A server may allow fewer rows in a call."""
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    score(pixels, here, models=MODELS)
    server = start_server("--max-batch-rows=100", SHARING)
    score(pixels, there, server=server.address, shared_memory="digits-test-")
    assert here.read_bytes() == there.read_bytes()
    server.end()


@pytest.mark.parametrize("flags", [(), ("--shared-memory=other-",)])
def test_without_shared_memory_pixels_are_sent(
    start_server: StartServer, pixels: Path, flags: tuple[str, ...], tmp_path: Path
):
    """A server that was not told to share, or other objects, is sent what it does not read."""
    server = start_server(*flags)
    summary = score(pixels, tmp_path / "out.csv", server=server.address, shared_memory="digits-test-")
    assert summary.how.startswith("by gRPC from")
    assert summary.rows == len(np.load(pixels))
    server.end()


def test_a_killed_job_leaves_no_memory_behind_for_long(sharing_server: Server, pixels: Path, tmp_path: Path):
    """Its region has no name any more, and the next run of the job lets the server forget it."""
    output = tmp_path / "out.parquet"
    job = [pixels, "--out", output, "--server", sharing_server.address, "--model=mnist-large", CHUNK, BY_MEMORY]
    process = start(*job)
    wait_for_parts(output, 1)
    assert list(Path("/dev/shm").glob("digits-test-*")) == []
    process.send_signal(signal.SIGKILL)
    ended(process)
    with InferenceClient(sharing_server.address) as client:
        assert len(client.regions()) == 1
        run(*job, "--resume")
        assert client.regions() == ()


def test_several_workers_score_alike(start_server: StartServer, pixels: Path, calm: bytes, tmp_path: Path):
    """Connections are spread over them, memory is registered with all, and one of them may die."""
    output = tmp_path / "out.parquet"
    server = start_server("--workers=2", SHARING, models=MODELS)
    job = [pixels, "--out", output, "--server", server.address, "--model=mnist-large", CHUNK, BY_MEMORY, "--calls=8"]
    process = start(*job)
    wait_for_parts(output, 3)
    worker = next(line["pid"] for line in server.lines if line["event"] == "worker serving")
    os.kill(worker, signal.SIGKILL)
    code, _, err = ended(process)
    assert code == 0, err
    assert output.read_bytes() == calm
    server.end()


def _kill(server: Server) -> None:
    server.process.kill()
    server.process.wait()
    while True:  # what it had started, Envoy for one, ends with it, but not in the same moment
        with grpc.insecure_channel(server.address) as channel:
            try:
                grpc.channel_ready_future(channel).result(0.5)
            except grpc.FutureTimeoutError:
                return
