"""Jobs on a server that is busy, restarts, goes away or changes under them."""

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_client.inference import InferenceClient

from scoring import ScorerError, score
from scoring.scorers.remote import RemoteScorer
from tests.support.repositories import place
from tests.support.server import MODELS, Server, StartServer, small_models
from tests.unit.scoring.jobs import ended, held_after, run, start, wait_for_parts

SHARING = "--shared-memory=digits-test-"
BY_MEMORY = "digits-test-"
BY_GRPC = ""
CHUNK = 256
RESTARTS = int(os.environ.get("RESTART_COUNT", "1"))
ROWS = CHUNK * (3 * RESTARTS + 4)


@pytest.fixture(scope="module")
def pixels(mnist_test: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of MNIST's test images."""
    path = tmp_path_factory.mktemp("server") / "pixels.npy"
    np.save(path, mnist_test[0][:ROWS])
    return path


@pytest.fixture(scope="module")
def calm(pixels: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What mnist-large, whose calls take long enough to be cut off, makes of them in this process."""
    output = tmp_path_factory.mktemp("calm") / "out.parquet"
    score(pixels, output, models=MODELS, model="mnist-large", chunk_rows=CHUNK)
    return output.read_bytes()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """For jobs beside the test."""
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGKILL, id="killed", marks=pytest.mark.front("grpcio")),
        pytest.param(signal.SIGTERM, id="drained"),
    ],
)
def test_a_server_that_ends_and_is_started_again_leaves_no_trace(
    start_server: StartServer, threads: ThreadPoolExecutor, pixels: Path, calm: bytes, number: int, tmp_path: Path
):
    """On the same port: jobs wait, and their outputs have the bytes of an undisturbed run.

    RESTART_COUNT=5 for the long form.
    """
    server = start_server(SHARING, models=MODELS)
    job = partial(score, pixels, server=server.address, model="mnist-large", chunk_rows=CHUNK)
    outputs = {tmp_path / "memory.parquet": BY_MEMORY, tmp_path / "sent.parquet": BY_GRPC}
    places = [3 * restart + 3 for restart in range(RESTARTS)]
    with held_after(*places) as releases:
        jobs = [threads.submit(job, path, shared_memory=way) for path, way in outputs.items()]
        for place, release in zip(places, releases, strict=True):
            for path in outputs:
                wait_for_parts(path, place - 2)
            if number == signal.SIGKILL:
                _kill(server)
            else:
                server.end()
            release.set()
            server = start_server(SHARING, port=server.port, models=MODELS)
        for each in jobs:
            assert each.result().rows == ROWS
    for path in outputs:
        assert path.read_bytes() == calm


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_a_server_that_goes_away_for_good_ends_the_job_with_a_sentence(
    start_server: StartServer, threads: ThreadPoolExecutor, pixels: Path, calm: bytes, tmp_path: Path
):
    """Once patience is spent; what was scored is kept, and another server, or none, ends the job."""
    output = tmp_path / "out.parquet"
    server = start_server(models=MODELS)
    job = partial(score, pixels, output, model="mnist-large", chunk_rows=CHUNK)
    with held_after(3) as [release]:
        running = threads.submit(job, server=server.address, patience=1.0)
        wait_for_parts(output, 2)
        _kill(server)
        release.set()
        with pytest.raises(
            ScorerError, match=f"{server.address} gave no answer for 1 s: cannot reach {server.address}"
        ):
            running.result()
    assert not output.exists()
    assert job(models=MODELS, resume=True).resumed_rows >= 2 * CHUNK
    assert output.read_bytes() == calm


def test_a_server_that_is_not_there_is_told_at_once(pixels: Path, tmp_path: Path):
    """Whatever the patience, and no parts are begun."""
    began = time.monotonic()
    _, err = run(pixels, "--out", tmp_path / "out.parquet", "--server=127.0.0.1:1", code=1)
    assert time.monotonic() - began < 20
    assert "cannot reach 127.0.0.1:1" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_another_version_after_a_restart_ends_the_job(
    start_server: StartServer, threads: ThreadPoolExecutor, pixels: Path, calm: bytes, tmp_path: Path
):
    """No row of another model gets into the table; once the server has the version again the job goes on."""
    models, others, output = tmp_path / "models", tmp_path / "others", tmp_path / "out.parquet"
    place(models, "mnist-large", 1)
    place(others, "mnist-large", 2)
    server = start_server(models=models)
    job = partial(score, pixels, output, model="mnist-large:1", chunk_rows=CHUNK, server=server.address)
    with held_after(3) as [release]:
        running = threads.submit(job)
        wait_for_parts(output, 2)
        _kill(server)
        server = start_server(models=others, port=server.port)
        release.set()
        with pytest.raises(ScorerError, match=r"has no longer what the job began with: .* no version '1'; it has 2"):
            running.result()
    server.end()
    server = start_server(models=models, port=server.port)
    job(resume=True)
    assert len(output.read_bytes()) == len(calm)


@pytest.mark.front("grpcio")  # a job does the same with either transport
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


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_a_full_queue_makes_the_job_wait(start_server: StartServer, pixels: Path, tmp_path: Path):
    """More calls in flight than the queue holds: refused ones are repeated, as the server bids."""
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    score(pixels, here, models=MODELS, model="mnist-large")
    server = start_server("--max-batch-rows=256", "--max-queue-rows=256", models=MODELS)
    score(pixels, there, server=server.address, model="mnist-large", calls=8)
    assert here.read_bytes() == there.read_bytes()
    refused = sum(server.metrics()["digits_refused_total"].values())
    assert refused > 0


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_calls_fit_into_what_the_server_takes(start_server: StartServer, pixels: Path, tmp_path: Path):
    """A server may allow fewer rows in a call."""
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    score(pixels, here, models=small_models(), model="mnist-16x16")
    server = start_server("--max-batch-rows=100", SHARING)
    score(pixels, there, server=server.address, model="mnist-16x16", shared_memory="digits-test-")
    assert here.read_bytes() == there.read_bytes()


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_without_shared_memory_pixels_are_sent(start_server: StartServer, server: Server, pixels: Path, tmp_path: Path):
    """A server that was not told to share, or other objects, is sent what it does not read."""
    other = start_server("--shared-memory=other-")
    for number, each in enumerate((server, other)):
        summary = score(pixels, tmp_path / f"{number}.csv", server=each.address, shared_memory="digits-test-")
        assert summary.how.startswith("by gRPC from")
        assert summary.rows == ROWS


def test_a_killed_job_leaves_no_memory_behind_for_long(sharing_server: Server, pixels: Path, tmp_path: Path):
    """Its region has no name any more, and the next run of the job lets the server forget it."""
    output = tmp_path / "out.parquet"
    job = [pixels, "--out", output, "--server", sharing_server.address, "--model=mnist-large"]
    job += ["--chunk-rows=64", f"--shared-memory={BY_MEMORY}"]
    process = start(*job)
    wait_for_parts(output, 1)
    assert list(Path("/dev/shm").glob("digits-test-*")) == []
    process.send_signal(signal.SIGKILL)
    ended(process)
    with InferenceClient(sharing_server.address) as client:
        assert len(client.regions()) == 1
        run(*job, "--resume")
        assert client.regions() == ()


@pytest.mark.front("grpcio")  # a job does the same with either transport
def test_several_workers_score_alike(
    start_server: StartServer, threads: ThreadPoolExecutor, pixels: Path, calm: bytes, tmp_path: Path
):
    """Connections are spread over them, memory is registered with all, and one of them may die."""
    output = tmp_path / "out.parquet"
    server = start_server("--workers=2", SHARING, models=MODELS)
    job = partial(score, pixels, output, model="mnist-large", chunk_rows=CHUNK, server=server.address)
    with held_after(4) as [release]:
        running = threads.submit(job, shared_memory=BY_MEMORY, calls=8)
        wait_for_parts(output, 2)
        worker = next(line["pid"] for line in server.lines if line["event"] == "worker serving")
        os.kill(worker, signal.SIGKILL)
        release.set()
        assert running.result().rows == ROWS
    assert output.read_bytes() == calm


def _kill(server: Server) -> None:
    server.process.kill()
    server.process.wait()
    while True:  # what it had started, Envoy for one, ends with it, but not in the same moment
        with grpc.insecure_channel(server.address) as channel:
            try:
                grpc.channel_ready_future(channel).result(0.5)
            except grpc.FutureTimeoutError:
                return
