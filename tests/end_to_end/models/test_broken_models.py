"""A models folder with something wrong in it: one clear sentence, and the good models go on.

All that may be wrong is in `tests/unit/service/process/`.
"""

import shutil
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from tests.support.server import MODELS, StartServer, Stub, small_models


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with digits-8x8 alone, for breaking."""
    shutil.copytree(MODELS / "digits-8x8", tmp_path / "models" / "digits-8x8")
    return tmp_path / "models"


def refused(start_server: StartServer, models: Path) -> str:
    """The sentence with which the server refuses to start."""
    server = start_server(models=models, wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    assert "Traceback" not in "".join(server.text)
    assert server.text[-1].startswith("digits: ")
    return server.text[-1].removeprefix("digits: ").strip()


def test_golden_rows_with_one_score_changed(start_server, models):
    path = models / "digits-8x8" / "1" / "golden.npz"
    with np.load(path) as arrays:
        changed = {name: arrays[name].copy() for name in arrays}
    changed["scores"][3, 4] += 1e-3
    np.savez(path, **changed)
    assert "scores differ by 0.001 where 1e-05 is allowed" in refused(start_server, models)


def test_one_broken_version_does_not_stop_the_others(start_server, models, mnist_test):
    """It is listed as failed with its reason, and refuses calls as UNAVAILABLE; the rest serves."""
    shutil.copytree(small_models() / "mnist-16x16", models / "mnist-16x16")
    (models / "mnist-16x16" / "2" / "model.onnx").write_bytes(b"broken")
    server = start_server(models=models)
    one = mnist_test[0][0].tobytes()
    with server.channel() as channel:
        stub = Stub(channel)
        listed = stub.list_models(pb.ListModelsRequest(), timeout=10)
        states = {(model.name, v.version): v for model in listed.models for v in model.versions}
        assert states["digits-8x8", "1"].state == pb.MODEL_STATE_READY
        assert states["mnist-16x16", "1"].state == pb.MODEL_STATE_READY
        assert states["mnist-16x16", "2"].state == pb.MODEL_STATE_FAILED
        assert "cannot be loaded" in states["mnist-16x16", "2"].reason
        assert stub.classify(pb.ClassifyRequest(pixels=one), timeout=10).model.version == "1"
        with pytest.raises(grpc.RpcError) as raised:
            stub.classify(pb.ClassifyRequest(pixels=one, version="2"), timeout=10)
        assert raised.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "model mnist-16x16 version 2 is not ready" in raised.value.details()
    assert server.wait_for("model failed")["model"] == "mnist-16x16"


@pytest.mark.front("grpcio")  # either loads models by the same code
def test_other_folders_are_passed_over(start_server, models):
    """A stray file, a hidden folder, a version that is no number."""
    (models / "notes.txt").touch()
    (models / ".training" / "1").mkdir(parents=True)
    (models / "digits-8x8" / "draft").mkdir()
    (models / "digits-8x8" / "02").mkdir()
    server = start_server(models=models)
    with server.channel() as channel:
        [model] = Stub(channel).list_models(pb.ListModelsRequest(), timeout=10).models
    assert [version.version for version in model.versions] == ["1"]
