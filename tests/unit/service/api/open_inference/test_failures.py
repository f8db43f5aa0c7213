"""Every other failure of the Open Inference Protocol: its status, and one clear sentence."""

import time

import grpc
import numpy as np
import pytest
import pytest_asyncio
from digits_protocol.inference import model_config_pb2, model_statistics_pb2, server_settings_pb2, shared_memory_pb2
from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import DeadlinePassed, InvalidInput, NotFound, NotReady, ServiceError
from service.api.errors import translate
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.server import MODELS, NAMES
from tests.unit.service.api.open_inference.calls import MNIST, STEM, ask, raw

ONE = np.zeros((1, 784), np.uint8)
FLOATS = ONE.astype(np.float32)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app():
    async with App.open(Settings(models=MODELS, log_level="error")) as opened:
        yield opened


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        (
            {"model_name": "nobody"},
            f"there is no model 'nobody'; there is {NAMES}",
        ),
        ({"model_version": "9"}, "model mnist-16x16 has no version '9'; it has 1, 2"),
        ({"model_version": "0"}, "model mnist-16x16 has no version '0'"),
    ],
)
async def test_an_unknown_model_or_version_is_not_found(app: App, fields: dict, sentence: str):
    """The sentence names what there is."""
    with pytest.raises(NotFound, match=sentence) as raised:
        await ask(app, "ModelInfer", raw(ONE, **fields))
    assert translate(raised.value, STEM).code is grpc.StatusCode.NOT_FOUND


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("ModelMetadata", pb.ModelMetadataRequest(name="nobody")),
        ("ModelConfig", model_config_pb2.ModelConfigRequest(name=MNIST, version="9")),
        ("SystemSharedMemoryStatus", shared_memory_pb2.SystemSharedMemoryStatusRequest(name="mine")),
        ("CudaSharedMemoryStatus", shared_memory_pb2.CudaSharedMemoryStatusRequest(name="mine")),
    ],
)
async def test_what_is_asked_about_something_unknown_is_not_found(app: App, name: str, request_):
    """Whatever the method."""
    with pytest.raises(NotFound):
        await ask(app, name, request_)


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("name", "request_"),
    [
        ("CudaSharedMemoryRegister", shared_memory_pb2.CudaSharedMemoryRegisterRequest(name="mine")),
        ("TraceSetting", server_settings_pb2.TraceSettingRequest()),
        ("LogSettings", server_settings_pb2.LogSettingsRequest()),
    ],
)
async def test_what_the_server_has_not_is_unimplemented_with_a_sentence(app: App, name: str, request_):
    """So that the client knows it is no mistake of its own."""
    with pytest.raises(ServiceError) as raised:
        await ask(app, name, request_)
    failure = translate(raised.value, STEM + name)
    assert failure.code is grpc.StatusCode.UNIMPLEMENTED
    assert len(failure.message.split()) > 4


VERSIONED = {
    "ModelReady": pb.ModelReadyRequest,
    "ModelMetadata": pb.ModelMetadataRequest,
    "ModelConfig": model_config_pb2.ModelConfigRequest,
    "ModelStatistics": model_statistics_pb2.ModelStatisticsRequest,
}
NO_NUMBERS = ["latest", "-1", "1.0", "1abc", " 1", "٣", "9" * 30]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("version", NO_NUMBERS)
@pytest.mark.parametrize("model", [MNIST, "nobody", ""])
async def test_a_version_that_is_no_number_is_invalid_argument(app: App, model: str, version: str):
    """In every method that takes one, whether the model exists or not, as Triton has it."""
    for name, request in VERSIONED.items():
        with pytest.raises(InvalidInput) as raised:
            await ask(app, name, request(name=model, version=version))
        assert raised.value.field == "version"
    with pytest.raises(InvalidInput) as raised:
        await ask(app, "ModelInfer", raw(ONE, model_name=model, model_version=version))
    assert raised.value.field == "model_version"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("model", "version"), [("nobody", ""), ("nobody", "1"), (MNIST, "9"), (MNIST, "0")])
async def test_what_does_not_exist_is_not_ready(app: App, model: str, version: str):
    """So that a client can wait for a model that is still to come, as with Triton."""
    assert not (await ask(app, "ModelReady", pb.ModelReadyRequest(name=model, version=version))).ready


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("model", "version", "field"), [("nobody", "", "name"), ("nobody", "1", "name"), (MNIST, "9", "version")]
)
async def test_statistics_of_what_does_not_exist_are_invalid_argument(app: App, model: str, version: str, field: str):
    """As Triton has it; the sentence names what there is."""
    with pytest.raises(InvalidInput) as raised:
        await ask(app, "ModelStatistics", model_statistics_pb2.ModelStatisticsRequest(name=model, version=version))
    assert raised.value.field == field
    assert MNIST in raised.value.description


@pytest.mark.asyncio(loop_scope="module")
async def test_there_is_no_region_of_a_gpu_to_list_or_to_forget(app: App):
    """Clients begin by forgetting all regions, of either kind."""
    told = await ask(app, "CudaSharedMemoryStatus", shared_memory_pb2.CudaSharedMemoryStatusRequest())
    assert not told.regions
    for name in ("", "mine"):
        request = shared_memory_pb2.CudaSharedMemoryUnregisterRequest(name=name)
        await ask(app, "CudaSharedMemoryUnregister", request)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_deadline_already_past_is_never_run(app: App):
    """As in digits.v1."""
    with pytest.raises(DeadlinePassed):
        await app.methods[STEM + "ModelInfer"].handler(raw(ONE), LocalContext(deadline=time.monotonic() - 1))


async def test_before_and_after_serving_calls_are_unavailable():
    """While the models load, and once the server drains; the server and the model say that they are not ready."""
    app = App(Settings(models=MODELS, log_level="error"))

    async def unavailable() -> None:
        with pytest.raises(NotReady) as raised:
            await ask(app, "ModelInfer", raw(ONE))
        assert translate(raised.value, STEM).code is grpc.StatusCode.UNAVAILABLE
        assert not (await ask(app, "ServerReady", pb.ServerReadyRequest())).ready
        assert not (await ask(app, "ModelReady", pb.ModelReadyRequest(name=MNIST))).ready
        assert (await ask(app, "ServerLive", pb.ServerLiveRequest())).live

    await unavailable()
    await app.load()
    assert (await ask(app, "ServerReady", pb.ServerReadyRequest())).ready
    assert (await ask(app, "ModelReady", pb.ModelReadyRequest(name=MNIST, version="1"))).ready
    app.drain()
    await unavailable()
    app.close()
