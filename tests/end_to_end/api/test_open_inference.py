"""Foreign clients of the Open Inference Protocol, unmodified, against the real server."""

import base64
import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

import grpc
import numpy as np
import onnxruntime
import pytest
from digits_protocol.digits.v1 import digits_pb2
from digits_protocol.inference import open_inference_pb2 as pb
from google.protobuf.json_format import Parse

from tests.foreign.environments import KSERVE, TRITON, build_go_client, python_with, run_script
from tests.support.pictures import file_of
from tests.support.processes import ROOT
from tests.support.server import MODELS, Server, StartServer, Stub

PREFIX = f"digits-test-{secrets.token_hex(4)}-"
OUTPUTS = ["label", "scores", "hidden_1"]

installs = pytest.mark.skipif(
    not os.environ.get("REQUIRE_EXTRAS"), reason="installs packages into an environment of its own"
)


@pytest.fixture(scope="module")
def controlled(start_for_module: StartServer) -> Server:
    """A server with explicit model control and shared memory."""
    return start_for_module("--model-control=explicit", f"--shared-memory={PREFIX}", models=MODELS)


@pytest.fixture(scope="module")
def expected(mnist_test, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 images with what onnxruntime itself makes of them, for the scripts."""
    pixels = mnist_test[0][:100]
    session = onnxruntime.InferenceSession(MODELS / "mnist-16x16" / "4" / "model.onnx")
    path = tmp_path_factory.mktemp("expected") / "expected.npz"
    outputs = dict(zip(OUTPUTS, session.run(OUTPUTS, {"pixels": pixels}), strict=True))
    np.savez(path, pixels=pixels, png=np.frombuffer(file_of(pixels[0].reshape(28, 28)), np.uint8), **outputs)
    return path


def test_digits_v1_gives_the_same_scores(controlled: Server, expected: Path):
    """What the foreign clients are compared with is what ours gets, bit by bit."""
    wanted = np.load(expected)
    with controlled.channel() as channel:
        request = digits_pb2.ClassifyRequest(
            model="mnist-16x16", pixels=wanted["pixels"].tobytes(), include_activations=True
        )
        predictions = Stub(channel).classify(request).predictions
    assert np.array_equal(np.array([each.scores for each in predictions], np.float32), wanted["scores"])
    assert [each.digit for each in predictions] == wanted["label"].tolist()
    hidden = np.array([each.activations[1].values for each in predictions], np.float32)
    assert np.array_equal(hidden, wanted["hidden_1"])


def test_a_request_ends_when_the_time_that_it_gave_itself_has_passed(controlled: Server, expected: Path):
    """By its parameter `timeout`, which no transport knows of; raw and typed, alone and in a stream."""
    stem = "/inference.GRPCInferenceService/"
    pixels = np.load(expected)["pixels"][:1]
    request = pb.ModelInferRequest()
    request.inputs.add(name="pixels", datatype="UINT8", shape=pixels.shape)
    request.parameters["timeout"].int64_param = 1
    raw, typed = pb.ModelInferRequest(), pb.ModelInferRequest()
    raw.MergeFrom(request)
    typed.MergeFrom(request)
    raw.raw_input_contents.append(pixels.tobytes())
    typed.inputs[0].contents.uint_contents.extend(pixels.ravel().tolist())
    with controlled.channel() as channel:
        infer = channel.unary_unary(stem + "ModelInfer", pb.ModelInferRequest.SerializeToString)
        stream = channel.stream_stream(
            stem + "ModelStreamInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelStreamInferResponse.FromString,
        )
        for each in (raw, raw, typed):
            with pytest.raises(grpc.RpcError) as raised:
                infer(each, timeout=30)
            assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            assert "before the images" in raised.value.details()  # the server's own sentence
        assert ["deadline" in each.error_message for each in stream(iter([raw, typed]), timeout=30)] == [True, True]


@installs
@pytest.mark.parametrize("script", ["triton_sync.py", "triton_aio.py"])
def test_tritonclient_is_answered_in_all_it_can_ask(controlled: Server, expected: Path, script: str):
    """Inference of every kind, streams, metadata, statistics, repository, shared memory; errors with their status."""
    python = python_with("triton", *TRITON)
    assert run_script(python, script, controlled.address, expected, PREFIX) == "all well\n"


@installs
@pytest.mark.parametrize("script", ["triton_http.py", "triton_http_aio.py"])
def test_tritonclient_is_answered_over_rest_as_by_grpc(controlled: Server, expected: Path, script: str):
    """The same, and the same scores bit by bit: binary and JSON, compressed and not, files, shared memory."""
    python = python_with("triton", *TRITON)
    rest = f"127.0.0.1:{controlled.http_port}"
    assert run_script(python, script, rest, expected, PREFIX, controlled.address) == "all well\n"


@pytest.mark.extra("curl")
def test_the_commands_of_the_documentation_work(controlled: Server):
    """Each as it stands, but for the port: pictures, pixels alone, binary tensors, and what describes the server."""
    page = (ROOT / "docs" / "how-to" / "open-inference-rest.md").read_text()
    commands = re.findall(r"^```sh\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    address = f"127.0.0.1:{controlled.http_port}"
    said = []
    for command in commands:
        # A status of an error fails, which curl shows by its body alone.
        script = f'set -eo pipefail; curl() {{ command curl -f "$@"; }}\n{command}'
        done = subprocess.run(
            ["bash", "-c", script.replace("localhost:8000", address)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stderr)
        said.append(done.stdout)
    picture, alone, binary, described = said
    assert [output["data"] for output in json.loads(picture)["outputs"]] == [[7], [""]]
    assert sum(map(float, alone.split())) == pytest.approx(1, abs=1e-5)
    assert [output["shape"] for output in json.loads(binary)["outputs"]] == [[2, 10]]
    ready, metadata, statistics, index = json.loads(f"[{described.replace('}{', '},{').replace('}[', '},[')}]")
    assert (ready, metadata["name"], list(statistics)) == ({"ready": True}, "mnist-16x16", ["model_stats"])
    assert {"name": "mnist-16x16", "version": "2", "state": "READY"} in index


@installs
@pytest.mark.front("grpcio")  # tritonclient, on the same library, asks either front
def test_kserve_s_client_is_answered(controlled: Server, expected: Path):
    """Raw and typed contents, both data types; by gRPC and REST."""
    python = python_with("kserve", *KSERVE)
    rest = f"http://127.0.0.1:{controlled.http_port}"
    assert run_script(python, "kserve_client.py", controlled.address, expected, rest) == "all well\n"


@pytest.mark.extra("grpcurl")
def test_grpcurl_infers_by_reflection_alone(server: Server, expected: Path):
    """With nothing but the address, raw and typed."""
    wanted = np.load(expected)

    def grpcurl(*arguments: str, data: object = None) -> str:
        flags = ["-plaintext", *(["-d", "@"] if data else [])]
        command = [str(shutil.which("grpcurl")), *flags, server.address, *arguments]
        body = json.dumps(data) if data else None
        return subprocess.run(command, input=body, capture_output=True, text=True, check=True).stdout

    def infer(data: object) -> pb.ModelInferResponse:
        return Parse(grpcurl("inference.GRPCInferenceService/ModelInfer", data=data), pb.ModelInferResponse())

    assert "rpc ModelInfer ( .inference.ModelInferRequest )" in grpcurl("describe", "inference.GRPCInferenceService")
    tensor = {"name": "pixels", "datatype": "UINT8", "shape": [2, 784]}
    request = {"modelName": "mnist-16x16", "inputs": [tensor]}
    raw = infer(request | {"rawInputContents": [base64.b64encode(wanted["pixels"][:2].tobytes()).decode()]})
    assert raw.raw_output_contents[1] == wanted["scores"][:2].tobytes()
    tensor["contents"] = {"uintContents": wanted["pixels"][:2].ravel().tolist()}
    typed = infer(request)
    assert list(typed.outputs[0].contents.int64_contents) == wanted["label"][:2].tolist()


@installs
@pytest.mark.front("envoy")  # building it takes long, and Envoy is further from what it knows
@pytest.mark.extra("go")
def test_a_go_client_made_from_the_proto_alone_infers(server: Server, expected: Path, tmp_path: Path):
    """Generated, built and run here; it shares nothing with ours but the proto files."""
    wanted = np.load(expected)
    go_client = build_go_client(tmp_path)
    pixels = tmp_path / "pixels"
    pixels.write_bytes(wanted["pixels"].tobytes())
    command = [go_client, server.address, pixels]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "labels": wanted["label"].tolist(),
        "scoresHex": wanted["scores"].tobytes().hex(),
        "streamed": len(wanted["pixels"]),
        "ready": True,
        "unknown": "NotFound",
    }
