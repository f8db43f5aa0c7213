"""Several workers on one port: how they start, or why not."""

import os
import signal
import time
from pathlib import Path

import grpc
import pytest

from engine.cpus import usable_cores
from tests.end_to_end.workers.two_workers import (
    NAME,
    classify,
    pids,
)
from tests.support.repositories import place
from tests.support.server import StartServer, small_models


@pytest.mark.parametrize(
    ("first", "seconds"),
    [pytest.param("1", ["2"], marks=pytest.mark.front("grpcio")), ("2", ["1", "2"])],
)
def test_a_second_server_on_the_port_is_refused(start_server: StartServer, first: str, seconds: list[str]):
    """However many workers the two have; of one each it is told among the other tests of a start."""
    server = start_server(f"--workers={first}")
    sentence = f"digits: cannot listen on 127.0.0.1:{server.port} (--port): Address already in use"
    for second in seconds:
        other = start_server(f"--port={server.port}", f"--workers={second}", wait=False)
        assert other.process.wait(30) == 1
        other.reader.join(5)
        assert "".join(other.text).strip() == sentence
    with server.channel() as channel:
        classify(channel)


def test_folders_where_a_server_starts_are_not_its_code(start_server: StartServer, tmp_path: Path):
    """A folder `service` there is not taken for ours, and paths of settings are meant from there."""
    (tmp_path / "service").mkdir()
    (tmp_path / "service" / "__init__.py").write_text("raise SystemExit('foreign code')")
    (tmp_path / "models").symlink_to(small_models())
    (tmp_path / "tokens").write_text("anna:secret-of-anna-0123456789")
    tokens = ("--token-file=tokens", "--allow-plaintext-tokens")
    server = start_server("--workers=2", *tokens, models=Path("models"), cwd=tmp_path)
    with server.channel() as channel, pytest.raises(grpc.RpcError) as refused:
        classify(channel)
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED  # so the tokens were found


@pytest.mark.front("grpcio")  # behind Envoy one worker has a supervisor too
def test_a_start_that_fails_is_told_in_one_sentence(start_server: StartServer, tmp_path: Path):
    """By the supervisor, as by a server of one."""
    server = start_server("--workers=2", models=tmp_path, wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    sentence = f"models folder {tmp_path} holds no model, expected <name>/<version>/model.onnx in it"
    assert "".join(server.text).strip() == f"digits: {sentence}"


@pytest.mark.front("grpcio")  # either loads models by the same code
def test_a_provider_that_is_required_but_missing_stops_the_start(start_server: StartServer):
    """In every worker, and so all of them."""
    server = start_server("--workers=2", "--provider=cuda", "--require-provider", wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    assert server.text[-1].startswith("digits: ")
    assert "CUDAExecutionProvider" in server.text[-1]


@pytest.mark.front("grpcio")  # it is about the supervisor, which is the same
def test_a_worker_that_cannot_start_again_is_tried_ever_more_seldom(start_server: StartServer, tmp_path: Path):
    """The other one goes on meanwhile; once what hindered it is gone, it is back."""
    models = tmp_path / "models"
    place(models, NAME, 1)
    server = start_server("--workers=2", models=models)
    models.rename(tmp_path / "away")
    os.kill(pids(server)[2], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(ends := [line for line in server.lines if line["event"] == "worker ended"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [line["restart_seconds"] for line in ends[:3]] == [0.0, 0.5, 1.0]
    assert "reason" not in ends[0]
    assert f"models folder {models}" in ends[1]["reason"]
    with server.channel() as channel:
        classify(channel)
    before = len(server.lines)
    (tmp_path / "away").rename(models)
    server.wait_for("worker serving", after=before, worker=2)


@pytest.mark.front("grpcio")  # settings are read before there is a front
def test_workers_auto_is_one_for_each_usable_core(start_server: StartServer):
    """As the line says that tells that all of them serve."""
    server = start_server("--workers=auto")
    assert server.wait_for("serving").get("workers", 1) == usable_cores()
