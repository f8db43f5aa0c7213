"""Servers under measurement start, are looked at, and leave nothing behind."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.inference import open_inference_pb2 as oip

from benchmarks.load.requests import MODEL, WrongAnswerError, compare, images, infer, outputs
from benchmarks.servers.process import ServerCommand, StartError, alive, descendants, run_server

# Starts a child that would live for an hour, and then the echo.
WITH_CHILD = """
import runpy, subprocess, sys
subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
runpy.run_module("benchmarks.servers.echo", run_name="__main__", alter_sys=True)
"""


def right_answer(count: int) -> oip.ModelInferResponse:
    golden = MODEL.read_golden()
    response = oip.ModelInferResponse(model_name=MODEL.name)
    response.outputs.add(name="label", datatype="INT64", shape=[count])
    response.outputs.add(name="scores", datatype="FP32", shape=[count, 10])
    response.raw_output_contents.append(np.resize(golden.labels, count).tobytes())
    response.raw_output_contents.append(np.resize(golden.scores, (count, 10)).tobytes())
    return response


def echo(folder: Path, answer: oip.ModelInferResponse, *before: str) -> ServerCommand:
    """A server that gives this answer to one image."""
    file = folder / "answers.json"
    file.write_text(json.dumps({str(len(infer(1).body)): answer.SerializeToString().hex()}))
    start = before or ("-m", "benchmarks.servers.echo")
    return ServerCommand("an echo", (sys.executable, *start, "{port}", str(file)))


def test_a_server_is_up_once_it_answers_rightly_and_gone_afterwards_with_its_children(tmp_path):
    """Nothing is left of it, even of what it started itself."""
    with run_server(echo(tmp_path, right_answer(1), "-c", WITH_CHILD), infer(1), tmp_path) as server:
        family = [server.pid, *descendants(server.pid)]
        assert len(family) == 2
        assert server.ready_seconds > 0
        assert server.resident_mb() > 10
        assert all(alive(pid) for pid in family)
    assert not any(alive(pid) for pid in family)


def test_a_server_that_ends_is_reported_with_its_log(tmp_path):
    """Not silently, and not after minutes."""
    broken = ServerCommand("broken", (sys.executable, "-c", "print('no such model'); raise SystemExit(3)"))
    with pytest.raises(StartError, match="it ended with 3:\nno such model"), run_server(broken, infer(1), tmp_path):
        pass


def test_a_server_that_answers_wrongly_is_refused(tmp_path):
    """Its speed is of no interest."""
    wrong = right_answer(1)
    wrong.raw_output_contents[0] = np.array([(MODEL.read_golden().labels[0] + 1) % 10]).tobytes()
    with pytest.raises(StartError, match="its answer is wrong"), run_server(echo(tmp_path, wrong), infer(1), tmp_path):
        pass


def test_answers_are_read_raw_and_typed():
    """Servers may choose."""
    typed = oip.ModelInferResponse()
    typed.outputs.add(name="label", datatype="INT64", shape=[2]).contents.int64_contents.extend([7, 1])
    typed.outputs.add(name="scores", datatype="FP32", shape=[2, 1]).contents.fp32_contents.extend([0.5, 1])
    raw = oip.ModelInferResponse(raw_output_contents=[np.array([7, 1]).tobytes(), np.float32([0.5, 1]).tobytes()])
    for output in typed.outputs:
        raw.outputs.add(name=output.name, datatype=output.datatype, shape=output.shape)
    for response in (typed, raw):
        tensors = outputs(response)
        assert tensors["label"].tolist() == [7, 1]
        assert tensors["scores"].tolist() == [[0.5], [1.0]]


def test_answers_are_compared_with_scikit_learns():
    """Labels exactly, scores within 1e-5, rows in order and all of them."""
    golden = MODEL.read_golden()
    labels, scores = np.resize(golden.labels, 70), np.resize(golden.scores, (70, 10))
    compare(labels, scores, 70)
    assert (images(70) == np.resize(golden.pixels, (70, 784))).all()
    for bad_labels, bad_scores in (
        (labels[::-1], scores),
        (labels, scores[::-1]),
        (labels, scores + 1e-4),
        (labels, scores * np.nan),
        (labels[:-1], scores[:-1]),
    ):
        with pytest.raises(WrongAnswerError):
            compare(bad_labels, bad_scores, 70)
