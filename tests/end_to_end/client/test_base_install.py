"""The client is a distribution of its own, and lives beside tritonclient in one process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from artifact.store import PREFERRED_MODELS
from tests.foreign.environments import make_environment, pip_install
from tests.support.processes import ROOT, environment
from tests.support.server import Server

SCRIPT = """
import sys
import tritonclient.grpc
from digits_client import DigitsClient
import google.protobuf
assert google.protobuf.__version__ < "7", google.protobuf.__version__
assert tritonclient.grpc.service_pb2.ModelInferRequest().model_name == ""
heavy = {"onnxruntime", "onnx", "sklearn", "PIL", "pydantic", "typer"} & set(sys.modules)
assert not heavy, heavy
from digits_client.inference import InferenceClient
with InferenceClient(sys.argv[1]) as client:
    assert client.model("", "").name == sys.argv[3]
with DigitsClient(sys.argv[1]) as client:
    answer = client.classify(open(sys.argv[2], "rb").read())
    print(answer.digit)
"""

# mypy --strict reports a `type: ignore` that hides no error, so it reports this program unless it knows the types.
TYPED = """
from digits_client import Classification, DigitsClient, Listing


def digit(client: DigitsClient) -> int:
    listing: Listing = client.models(timeout="soon")  # type: ignore[arg-type]
    result: Classification = client.classify("seven.png", model=listing.default_model)
    return result.margin  # type: ignore[return-value]
"""


@pytest.mark.front("grpcio")  # it is about what is installed beside the client
@pytest.mark.skipif(not os.environ.get("REQUIRE_EXTRAS"), reason="installs packages into an environment of its own")
def test_the_base_install_is_typed_and_lives_in_one_process_with_tritonclient(
    server: Server, tmp_path: Path, seven: Path
):
    """A fresh virtual environment with `pip install ./client tritonclient[grpc]`, a real call, and mypy.

    Nothing else of ours is in its site-packages.
    """
    python = tmp_path / "venv" / "bin" / "python"
    make_environment(tmp_path / "venv")
    # From a copy: building in place would leave a folder behind that later builds take old files from.
    kept_out = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / "client", tmp_path / "source", ignore=kept_out)
    pip_install(python, tmp_path / "source", "tritonclient[grpc]>=2.60")
    ours = {path.name for path in next((tmp_path / "venv").glob("lib/*/site-packages")).glob("digits*")}
    assert {name for name in ours if not name.endswith(".dist-info")} == {"digits_client", "digits_protocol"}
    done = subprocess.run(
        [python, "-c", SCRIPT, server.address, seven, PREFERRED_MODELS[0]],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "7"
    (tmp_path / "typed.py").write_text(TYPED)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--python-executable", python, "typed.py"]
    done = subprocess.run(mypy, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
