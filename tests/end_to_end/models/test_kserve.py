"""A server as KServe starts it: the arguments of deploy/kserve/, and models where its storage initializer puts them."""

import shutil
from pathlib import Path

import pytest
import yaml
from digits_protocol.inference import open_inference_pb2 as pb

from tests.support.processes import ROOT
from tests.support.server import MODELS, Server, StartServer

FOLDER = ROOT / "deploy" / "kserve"
RUNTIME = yaml.safe_load((FOLDER / "serving-runtime.yaml").read_text())
SERVICE = yaml.safe_load((FOLDER / "inference-service.yaml").read_text())
[CONTAINER] = RUNTIME["spec"]["containers"]
NAME = SERVICE["metadata"]["name"]
MOUNT = "/mnt/models"


@pytest.fixture(scope="module")
def server(start_for_module: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Server:
    """Its models are read-only, as KServe mounts them; only that folder is another, and the ports are free ones."""
    root = tmp_path_factory.mktemp("root")
    mounted = root / MOUNT.strip("/")
    for version in ("1", "2"):
        shutil.copytree(MODELS / NAME / version, mounted / NAME / version)
    for path in (mounted, *mounted.rglob("*")):
        path.chmod(path.stat().st_mode & ~0o222)
    command, *flags = CONTAINER["args"]
    assert command == "serve"
    return start_for_module(*(flag.replace(MOUNT, str(mounted)) for flag in flags), models=mounted)


def test_kserve_finds_it_ready(server: Server):
    """By the probes of the manifest, and by the protocol under the name of the InferenceService."""
    for probe in ("readinessProbe", "livenessProbe"):
        assert server.http(CONTAINER[probe]["httpGet"]["path"])[0] == 200
    assert server.http(RUNTIME["spec"]["annotations"]["prometheus.kserve.io/path"])[0] == 200
    with server.channel() as channel:
        ready = channel.unary_unary("/inference.GRPCInferenceService/ModelReady")
        answer = ready(pb.ModelReadyRequest(name=NAME).SerializeToString(), timeout=10)
        assert pb.ModelReadyResponse.FromString(answer).ready
        request = pb.ModelInferRequest(model_name=NAME, raw_input_contents=[bytes(784)])
        request.inputs.add(name="pixels", datatype="UINT8", shape=[1, 784])
        infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        inferred = pb.ModelInferResponse.FromString(infer(request.SerializeToString(), timeout=10))
        assert (inferred.model_name, inferred.model_version) == (NAME, "2")


@pytest.mark.front("grpcio")
def test_the_manifests_say_what_the_image_does(front: str):
    """The ports are the server's own, the folder is KServe's, and what is mounted for writing is there."""
    assert [port["containerPort"] for port in CONTAINER["ports"]] == [8000, 8001]
    assert f"--models={MOUNT}" in CONTAINER["args"]
    assert {each["httpGet"]["port"] for each in (CONTAINER["readinessProbe"], CONTAINER["livenessProbe"])} == {8000}
    assert SERVICE["spec"]["predictor"]["model"]["runtime"] == RUNTIME["metadata"]["name"]
    formats = {each["name"] for each in RUNTIME["spec"]["supportedModelFormats"]}
    assert SERVICE["spec"]["predictor"]["model"]["modelFormat"]["name"] in formats
    assert Path(MODELS / NAME).is_dir()
