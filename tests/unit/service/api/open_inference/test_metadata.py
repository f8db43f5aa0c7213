"""What the Open Inference Protocol tells of the server, its models, their counts, and how models come and go."""

import asyncio
import json
from importlib.metadata import version as installed_version
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2
from digits_protocol.inference import model_config_pb2 as config_pb
from digits_protocol.inference import model_repository_pb2 as repository_pb
from digits_protocol.inference import model_statistics_pb2 as statistics_pb
from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import InvalidInput, NotAllowed, NotFound, NotReady, NotSupported
from service.api.errors import translate
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.repositories import place
from tests.support.server import MODELS, small_models
from tests.unit.service.api.open_inference.calls import MNIST, SMALL, STEM, ask, ask_once, raw, stream

ROWS = np.zeros((3, 64), np.uint8)
CLASSIFY = "/digits.v1.DigitsService/Classify"


@pytest.fixture
async def app():
    async with App.open(Settings(models=small_models(), log_level="error")) as opened:
        yield opened


async def test_the_server_tells_its_name_version_and_extensions(app):
    """Shared memory only where it is allowed."""
    told = await ask(app, "ServerMetadata", pb.ServerMetadataRequest())
    assert (told.name, told.version) == ("digits", installed_version("digits"))
    assert list(told.extensions) == [
        "binary_tensor_data",
        "classification",
        "model_configuration",
        "model_repository",
        "schedule_policy",
        "statistics",
    ]
    async with App.open(Settings(models=small_models(), log_level="error", shared_memory="digits-")) as other:
        told = await ask(other, "ServerMetadata", pb.ServerMetadataRequest())
        assert "system_shared_memory" in told.extensions


async def test_metadata_has_the_tensors_and_what_the_card_says(app):
    """The number of images is -1; lists and objects of the card are JSON."""
    told = await ask(app, "ModelMetadata", pb.ModelMetadataRequest(name=MNIST))
    assert (told.name, list(told.versions), told.platform) == (MNIST, ["1", "2"], "onnxruntime_onnx")
    tensors = [(each.name, each.datatype, list(each.shape)) for each in (*told.inputs, *told.outputs)]
    assert tensors == [
        ("pixels", "UINT8", [-1, 784]),
        ("label", "INT64", [-1]),
        ("scores", "FP32", [-1, 10]),
        ("hidden_1", "FP32", [-1, 16]),
        ("hidden_2", "FP32", [-1, 16]),
        ("warnings", "BYTES", [-1]),
    ]
    version = app.repository.find(MNIST, "")
    card = json.loads((MODELS / MNIST / "2" / "card.json").read_text())
    for name, value in card.items():
        if name not in ("created", "date") and name in told.properties and not isinstance(value, str):
            assert json.loads(told.properties[name]) == value, name
    assert told.properties.keys() <= card.keys() | {"execution_provider", "sha256"}
    assert told.properties["activation"] == card["activation"]
    assert told.properties["accuracy"] == str(card["accuracy"])
    assert told.properties["execution_provider"] == version.session.provider
    assert told.properties["sha256"] == version.session.sha256


async def test_the_configuration_is_in_triton_s_words(app):
    """Sizes are without the number of images."""
    config = (await ask(app, "ModelConfig", config_pb.ModelConfigRequest(name=SMALL))).config
    assert (config.name, config.platform, config.backend) == (SMALL, "onnxruntime_onnx", "onnxruntime")
    assert config.max_batch_size == 1024
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [
        ("pixels", config_pb.TYPE_UINT8, [64])
    ]
    assert [(each.name, each.data_type, list(each.dims)) for each in config.output] == [
        ("label", config_pb.TYPE_INT64, []),
        ("scores", config_pb.TYPE_FP32, [10]),
        ("hidden_1", config_pb.TYPE_FP32, [64]),
        ("hidden_2", config_pb.TYPE_FP32, [32]),
        ("warnings", config_pb.TYPE_STRING, []),
    ]
    assert config.WhichOneof("scheduling_choice") == "dynamic_batching"
    assert config.version_policy.WhichOneof("policy_choice") == "all"
    assert config.instance_group[0].kind == config_pb.ModelInstanceGroup.KIND_CPU
    assert config.parameters["execution_provider"].string_value == "CPUExecutionProvider"


@pytest.mark.parametrize(
    ("versions", "kind", "content"), [("newest", "latest", {"numVersions": 1}), ([1], "specific", {"versions": ["1"]})]
)
async def test_the_configuration_tells_the_version_policy(tmp_path: Path, versions, kind, content):
    """As policy.json says it."""
    from google.protobuf.json_format import MessageToDict

    place(tmp_path, SMALL, 1)
    (tmp_path / SMALL / "policy.json").write_text(json.dumps({"versions": versions}))
    async with App.open(Settings(models=tmp_path, log_level="error")) as app:
        config = (await ask(app, "ModelConfig", config_pb.ModelConfigRequest(name=SMALL))).config
    assert MessageToDict(config.version_policy) == {kind: content}


async def test_statistics_agree_with_what_was_sent(app):
    """Calls of both services, streams too; rows, batches by size, and failures by reason."""
    small = {"model_name": SMALL}
    await ask_once(app, "ModelInfer", raw(ROWS, **small))
    await asyncio.gather(
        ask_once(app, "ModelInfer", raw(ROWS, **small)), ask_once(app, "ModelInfer", raw(ROWS[:1], **small))
    )
    await app.methods[CLASSIFY].handler(digits_pb2.ClassifyRequest(model=SMALL, pixels=bytes(64)), LocalContext())
    await stream(app, [raw(ROWS, **small), raw(ROWS + 17, **small)])
    for _ in range(2):
        with pytest.raises(InvalidInput):
            await ask_once(app, "ModelInfer", raw(ROWS, "logits", **small))
    late = asyncio.create_task(ask_once(app, "ModelInfer", raw(ROWS, **small)))
    await asyncio.sleep(0)
    late.cancel()
    await asyncio.wait([late])

    [told] = (await ask_once(app, "ModelStatistics", statistics_pb.ModelStatisticsRequest(name=SMALL))).model_stats
    assert (told.name, told.version) == (SMALL, "1")
    stats = told.inference_stats
    assert (stats.success.count, stats.fail.count) == (5, 4)
    assert {reason: timer.count for reason, timer in told.failures.items()} == {"InvalidInput": 3, "Cancelled": 1}
    assert (told.inference_count, told.execution_count) == (3 + 4 + 1 + 3, 4)
    assert {batch.batch_size: batch.compute_infer.count for batch in told.batch_stats} == {1: 1, 3: 2, 4: 1}
    assert stats.queue.count == 5
    assert stats.compute_infer.count == 4
    assert stats.success.ns >= stats.compute_infer.ns > 0
    assert sum(batch.compute_infer.ns for batch in told.batch_stats) == stats.compute_infer.ns
    assert told.last_inference > 1.7e12


async def test_statistics_of_no_name_are_those_of_all_models(app):
    """By name and version, whatever the version; with a name those of a version alone where one is named."""

    async def listed(**fields: str) -> list[tuple[str, str]]:
        answer = await ask(app, "ModelStatistics", statistics_pb.ModelStatisticsRequest(**fields))
        return [(each.name, each.version) for each in answer.model_stats]

    everything = [(SMALL, "1"), (MNIST, "1"), (MNIST, "2")]
    assert await listed() == await listed(version="2") == await listed(version="9") == everything
    assert await listed(name=MNIST) == [(MNIST, "1"), (MNIST, "2")]
    assert await listed(name=MNIST, version="1") == [(MNIST, "1")]


async def index(app: App, **fields) -> list[tuple[str, str, str]]:
    answer = await ask(app, "RepositoryIndex", repository_pb.RepositoryIndexRequest(**fields))
    return [(each.name, each.version, each.state) for each in answer.models]


async def test_the_index_lists_what_is_ready_and_why_the_rest_is_not(tmp_path: Path):
    """A broken version is UNAVAILABLE with its reason, and can be left out."""
    place(tmp_path, SMALL, 1)
    place(tmp_path, SMALL, 2, broken=True)
    async with App.open(Settings(models=tmp_path, log_level="error")) as app:
        assert await index(app) == [(SMALL, "1", "READY"), (SMALL, "2", "UNAVAILABLE")]
        assert await index(app, ready=True) == [(SMALL, "1", "READY")]
        [_, broken] = (await ask(app, "RepositoryIndex", repository_pb.RepositoryIndexRequest())).models
        assert "does not reproduce its golden rows" in broken.reason
        with pytest.raises(NotReady, match="golden rows"):
            await ask(app, "ModelInfer", raw(ROWS, model_name=SMALL, model_version="2"))
        ready = pb.ModelReadyRequest(name=SMALL, version="2")
        assert not (await ask(app, "ModelReady", ready)).ready


def load(name: str, **fields) -> repository_pb.RepositoryModelLoadRequest:
    return repository_pb.RepositoryModelLoadRequest(model_name=name, **fields)


def unload(name: str, **fields) -> repository_pb.RepositoryModelUnloadRequest:
    return repository_pb.RepositoryModelUnloadRequest(model_name=name, **fields)


async def test_models_are_unloaded_and_loaded_by_call(tmp_path: Path):
    """An unloaded model is UNAVAILABLE until it is loaded again."""
    place(tmp_path, SMALL, 1)
    async with App.open(Settings(models=tmp_path, log_level="error", model_control="explicit")) as app:
        await ask(app, "RepositoryModelUnload", unload(SMALL, parameters={"unload_dependents": {"bool_param": True}}))
        assert await index(app) == [(SMALL, "1", "UNAVAILABLE")]
        assert not (await ask(app, "ServerReady", pb.ServerReadyRequest())).ready
        with pytest.raises(NotReady) as raised:
            await ask(app, "ModelInfer", raw(ROWS, model_name=SMALL))
        assert translate(raised.value, STEM).code is grpc.StatusCode.UNAVAILABLE
        place(tmp_path, SMALL, 2)
        await ask(app, "RepositoryModelLoad", load(SMALL))
        assert await index(app) == [(SMALL, "1", "READY"), (SMALL, "2", "READY")]
        assert (await ask(app, "ModelInfer", raw(ROWS, model_name=SMALL))).model_version == "2"
        before = await index(app)
        with pytest.raises(NotFound):
            await ask(app, "RepositoryModelLoad", load("nobody"))
        await ask(app, "RepositoryModelUnload", unload("nobody"))  # it is gone already
        assert await index(app) == before


async def test_a_model_that_cannot_be_loaded_fails_the_precondition(tmp_path: Path):
    """With the reason."""
    place(tmp_path, SMALL, 1)
    async with App.open(Settings(models=tmp_path, log_level="error", model_control="explicit")) as app:
        await ask(app, "RepositoryModelUnload", unload(SMALL))
        place(tmp_path, SMALL, 1, broken=True)
        with pytest.raises(NotAllowed, match="golden rows") as raised:
            await ask(app, "RepositoryModelLoad", load(SMALL))
        assert translate(raised.value, STEM).code is grpc.StatusCode.FAILED_PRECONDITION


async def test_loading_and_unloading_need_explicit_control(app):
    """FAILED_PRECONDITION, with the flag that would allow it."""
    for request, name in ((load(SMALL), "RepositoryModelLoad"), (unload(SMALL), "RepositoryModelUnload")):
        with pytest.raises(NotAllowed, match="--model-control explicit") as raised:
            await ask(app, name, request)
        assert translate(raised.value, STEM).code is grpc.StatusCode.FAILED_PRECONDITION


@pytest.mark.parametrize("key", ["config", "file:1/model.onnx"])
async def test_a_model_is_loaded_as_it_lies_on_disk(app, key):
    """Content sent along is refused, not ignored."""
    with pytest.raises(InvalidInput) as raised:
        await ask(app, "RepositoryModelLoad", load(SMALL, parameters={key: {"string_param": "{}"}}))
    assert raised.value.field == f"parameters[{key}]"


async def test_there_is_one_repository_without_a_name(app):
    """Any name is UNIMPLEMENTED."""
    for request, name in (
        (repository_pb.RepositoryIndexRequest(repository_name="x"), "RepositoryIndex"),
        (load(SMALL, repository_name="x"), "RepositoryModelLoad"),
        (unload(SMALL, repository_name="x"), "RepositoryModelUnload"),
    ):
        with pytest.raises(NotSupported):
            await ask(app, name, request)
