"""What an import brings along at run time; `make lint` holds who may import whom."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        pytest.param(
            "digits_client",
            "onnxruntime onnx sklearn PIL pydantic typer artifact engine imaging scoring service training",
            id="the client has the base install alone",
        ),
        pytest.param(
            "service.main, service.workers.supervisor, service.transports.envoy.program",
            "onnxruntime grpc numpy google",
            id="the supervisor stays small, starts at once, and no request can bring it down",
        ),
    ],
)
def test_an_import_brings_only_what_is_needed(modules: str, absent: str):
    code = f"import sys, {modules}; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(absent.split()) & {name.split(".")[0] for name in loaded}
