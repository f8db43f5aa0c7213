"""The chance that an image shows no digit: as the network gives it, by every way to ask."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as oip

from artifact.names import NOT_A_DIGIT
from artifact.store import VersionFolder
from engine.errors import InvalidInput
from engine.models.providers import candidates
from engine.models.session import ModelError, load_session
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.calibrated_model import export_sure
from tests.support.server import small_models
from tests.unit.service.api.fast_path_equivalence import both_ways
from training.data.datasets import digits

CLASSIFY = "/digits.v1.DigitsService/Classify"
INFER = "/inference.GRPCInferenceService/ModelInfer"
METADATA = "/inference.GRPCInferenceService/ModelMetadata"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> VersionFolder:
    return export_sure(tmp_path_factory.mktemp("models"), detects_outliers=True)


@pytest.fixture
async def app(folder: VersionFolder):
    async with App.open(Settings(models=folder.models, log_level="error")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Digits and noise in turn: uint8 [200, 64]."""
    noise = np.random.default_rng(1).integers(0, 17, (100, 64))
    return np.stack([digits().test.pixels[:100], noise], axis=1).reshape(-1, 64).astype(np.uint8)


def chances(app: App, pixels: np.ndarray) -> np.ndarray:
    """What the network itself gives."""
    found = app.repository.find("", "").session.run(pixels).not_a_digit
    assert found is not None
    return found


@pytest.mark.parametrize("rows", [1, 2, 200])
async def test_every_prediction_has_it(app: App, pixels: np.ndarray, rows: int):
    """The network's own, also from bytes; noise gets more than digits do."""
    for start in range(0, 200 if rows < 200 else 1, 3):
        own = pixels[start : start + rows]
        answer = await both_ways(app.methods[CLASSIFY], pb.ClassifyRequest(pixels=own.tobytes()), fast_path=True)
        got = [prediction.not_a_digit for prediction in answer.predictions]
        np.testing.assert_allclose(got, chances(app, own), atol=1e-6)
    everything = chances(app, pixels)
    assert np.median(everything[1::2]) > 0.75
    assert np.median(everything[::2]) < 0.45


async def test_callers_of_one_batch_get_their_own(app: App, pixels: np.ndarray):
    """Those that are quick and those that are not."""
    method = app.methods[CLASSIFY]
    parts = [pixels[start : start + 1 + start % 4] for start in range(0, 60, 3)]

    async def ask(place: int, part: np.ndarray) -> list[float]:
        request = pb.ClassifyRequest(pixels=part.tobytes(), coverage=0.9 if place % 2 else 0)
        future = method.fast_path(request.SerializeToString(), 0, LocalContext())
        assert (future is None) == bool(place % 2)
        answer = (
            await method.handler(request, LocalContext())
            if future is None
            else pb.ClassifyResponse.FromString(await future)
        )
        assert answer.timings.batch_rows > len(part)
        return [prediction.not_a_digit for prediction in answer.predictions]

    together = await asyncio.gather(*(ask(place, part) for place, part in enumerate(parts)))
    for got, part in zip(together, parts, strict=True):
        np.testing.assert_allclose(got, chances(app, part), atol=1e-6)


async def test_a_model_that_cannot_tell_says_nothing():
    """Absent is not 0."""
    async with App.open(Settings(models=small_models(), log_level="error")) as app:
        request = pb.ClassifyRequest(model="mnist-16x16", pixels=bytes(784))
        answer = await both_ways(app.methods[CLASSIFY], request, fast_path=True)
        assert not answer.predictions[0].HasField("not_a_digit")
        metadata = await app.methods[METADATA].handler(oip.ModelMetadataRequest(name="mnist-16x16"), LocalContext())
        assert NOT_A_DIGIT not in [output.name for output in metadata.outputs]
        with pytest.raises(
            InvalidInput, match=r"outputs\[0\]\.name: is 'not_a_digit', expected one of label, scores, hidden"
        ):
            await both_ways(app.methods[INFER], infer(np.zeros((1, 784), np.uint8), "mnist-16x16", NOT_A_DIGIT))


def infer(pixels: np.ndarray, model: str, *outputs: str) -> oip.ModelInferRequest:
    request = oip.ModelInferRequest(model_name=model, raw_input_contents=[pixels.tobytes()])
    request.inputs.add(name="pixels", datatype="UINT8", shape=pixels.shape)
    for output in outputs:
        request.outputs.add(name=output)
    return request


async def test_it_is_an_output_of_the_open_inference_protocol(app: App, pixels: np.ndarray):
    """In the metadata with its shape, sent to who asks for it, among others in any order."""
    metadata = await app.methods[METADATA].handler(oip.ModelMetadataRequest(name="sure"), LocalContext())
    assert {output.name: list(output.shape) for output in metadata.outputs} == {
        "label": [-1],
        "scores": [-1, 10],
        "not_a_digit": [-1],
        "hidden_1": [-1, 24],
        "warnings": [-1],
    }
    for rows in (1, 7):
        request = infer(pixels[:rows], "sure", "hidden_1", NOT_A_DIGIT, "label")
        answer = await both_ways(app.methods[INFER], request, fast_path=True)
        assert [(output.name, list(output.shape)) for output in answer.outputs] == [
            ("hidden_1", [rows, 24]),
            (NOT_A_DIGIT, [rows]),
            ("label", [rows]),
        ]
        got = np.frombuffer(answer.raw_output_contents[1], np.float32)
        np.testing.assert_allclose(got, chances(app, pixels[:rows]), atol=1e-6)
        assert len(answer.raw_output_contents[0]) == rows * 24 * 4
    ranked = infer(pixels[:1], "sure", NOT_A_DIGIT)
    ranked.outputs[0].parameters["classification"].int64_param = 1
    with pytest.raises(InvalidInput, match=r"classification\]: is set, and not_a_digit holds nothing to rank"):
        await both_ways(app.methods[INFER], ranked)


def test_the_receipt_holds_it_too(folder: VersionFolder, tmp_path: Path):
    """A server is not ready that gives other chances than the golden ones, or has none to hold its own against."""
    import shutil
    from dataclasses import replace

    for change, message in (
        (lambda golden: golden.not_a_digit + np.float32(1e-3), "does not reproduce its golden rows"),
        (lambda golden: golden.not_a_digit * np.float32(np.nan), "scores differ by nan"),
        (lambda golden: None, "do not both have not_a_digit for each row"),
        (lambda golden: golden.not_a_digit.astype(np.float64), "not_a_digit is float64"),
    ):
        shutil.rmtree(tmp_path / "sure", ignore_errors=True)
        shutil.copytree(folder.models / "sure", tmp_path / "sure")
        changed = replace(folder, models=tmp_path)
        golden = changed.read_golden()
        changed.write_golden(replace(golden, not_a_digit=change(golden)))
        with pytest.raises(ModelError, match=message):
            load_session(changed, candidates("cpu"), 1)
    changed.write_golden(golden)
    assert load_session(changed, candidates("cpu"), 1).card.detects_outliers
