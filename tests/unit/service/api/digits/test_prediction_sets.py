"""Which classes cannot be ruled out: as the scores and the thresholds say, by the handler and from bytes alike."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb

from artifact.card import Card
from artifact.prediction_sets import COVERAGES
from engine.errors import InvalidInput
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.calibrated_model import export_sure
from tests.support.server import MODELS
from tests.unit.service.api.fast_path_equivalence import both_ways
from training.data.datasets import digits

CLASSIFY = "/digits.v1.DigitsService/Classify"
THRESHOLDS = tuple(0.3 + place / 60 for place in range(len(COVERAGES)))  # 0.617 at 99 %: none, one or two candidates
LABELS = {"digits": tuple(range(10)), "others": (1, 2, 3, 5, 8, 13, 21, 34, 55, 127), "signed": tuple(range(-5, 5))}


@pytest.fixture(scope="module", params=LABELS)
def models(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("models")
    export_sure(out, LABELS[request.param], THRESHOLDS)
    return out


@pytest.fixture
async def app(models: Path):
    async with App.open(Settings(models=models, log_level="error")) as opened:
        yield opened


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Test images and, between each two of them, both at once: uint8 [200, 64]."""
    rows = digits().test.pixels[:100].astype(int)
    blends = (rows + np.roll(rows, -1, axis=0)) // 2
    return np.stack([rows, blends], axis=1).reshape(-1, 64).astype(np.uint8)


def expected(prediction: pb.Prediction, card: Card, threshold: float) -> list[int]:
    """The labels whose score is at least 1 - threshold, best first."""
    ranked = sorted(range(10), key=lambda place: -prediction.scores[place])
    return [card.labels[place] for place in ranked if prediction.scores[place] >= np.float32(1 - threshold)]


def counts(predictions: Sequence[pb.Prediction]) -> set[int]:
    return {len(prediction.candidates) for prediction in predictions}


@pytest.mark.parametrize("rows", [1, 2, 200])
async def test_at_99_percent_when_nothing_is_said(app: App, pixels: np.ndarray, rows: int):
    """The quick form has them too, whether an image has one, several or none; labels of more than a byte are left."""
    card = app.repository.find("", "").session.card
    fast_path = min(card.labels) >= 0
    found = set()
    for start in range(0, 200 if rows < 200 else 1, 3):
        request = pb.ClassifyRequest(pixels=pixels[start : start + rows].tobytes())
        answer = await both_ways(app.methods[CLASSIFY], request, fast_path=fast_path)
        for prediction in answer.predictions:
            assert list(prediction.candidates) == expected(prediction, card, card.thresholds[COVERAGES.index(0.99)])
        found |= counts(answer.predictions)
    assert found == {0, 1, 2}


@pytest.mark.parametrize(
    ("coverage", "counted"), [(0.8, 0.8), (0.5, 0.8), (0.955, 0.96), (0.99, 0.99), (0.9901, 0.991)]
)
async def test_at_a_coverage_that_is_named(app: App, pixels: np.ndarray, coverage: float, counted: float):
    """It counts as the next greater one that the card knows; the bytes of such a request are left to the handler."""
    card = app.repository.find("", "").session.card
    request = pb.ClassifyRequest(pixels=pixels.tobytes(), coverage=coverage)
    answer = await both_ways(app.methods[CLASSIFY], request, fast_path=False)
    for prediction in answer.predictions:
        assert list(prediction.candidates) == expected(prediction, card, card.thresholds[COVERAGES.index(counted)])


async def test_nothing_is_ruled_out_beyond_the_last_threshold(app: App, pixels: np.ndarray):
    """All classes, best first, with activations as well."""
    request = pb.ClassifyRequest(pixels=pixels[:3].tobytes(), coverage=0.9995, include_activations=True)
    answer = await app.methods[CLASSIFY].handler(request, LocalContext())
    card = app.repository.find("", "").session.card
    for prediction in answer.predictions:
        assert list(prediction.candidates) == expected(prediction, card, 1.0)
        assert sorted(prediction.candidates) == list(card.labels)
        assert prediction.candidates[0] == prediction.digit
        assert prediction.activations


async def test_callers_of_one_batch_get_their_own(app: App, pixels: np.ndarray):
    """Those that are quick and those that are not, each what it gets alone."""
    method = app.methods[CLASSIFY]
    requests = [pb.ClassifyRequest(pixels=pixels[start : start + 1 + start % 4].tobytes()) for start in range(0, 60, 3)]
    alone = [await method.handler(request, LocalContext()) for request in requests]

    async def quickly(request: pb.ClassifyRequest) -> pb.ClassifyResponse:
        future = method.fast_path(request.SerializeToString(), 0, LocalContext())
        return (
            await method.handler(request, LocalContext())
            if future is None
            else pb.ClassifyResponse.FromString(await future)
        )

    together = await asyncio.gather(*map(quickly, requests))
    assert [answer.predictions for answer in together] == [answer.predictions for answer in alone]
    assert max(answer.timings.batch_rows for answer in together) > 4


async def test_images_with_warnings_have_them_too(app: App, pixels: np.ndarray):
    """A blank image among others."""
    request = pb.ClassifyRequest(pixels=pixels[:2].tobytes() + bytes(64))
    answer = await both_ways(app.methods[CLASSIFY], request)
    assert answer.predictions[2].warnings
    card = app.repository.find("", "").session.card
    for prediction in answer.predictions:
        assert list(prediction.candidates) == expected(prediction, card, card.thresholds[COVERAGES.index(0.99)])


@pytest.mark.parametrize("coverage", [1, -0.5, 1.5, float("nan"), float("inf"), 5e300])
async def test_a_coverage_that_is_none_is_refused(app: App, coverage: float):
    """Bounds excluded, with the field."""
    with pytest.raises(InvalidInput, match=r"coverage: is .*, expected more than 0 and less than 1"):
        await both_ways(app.methods[CLASSIFY], pb.ClassifyRequest(pixels=bytes(64), coverage=coverage))


async def test_a_model_without_thresholds_rules_nothing_in_or_out():
    """It answers without candidates, and refuses a coverage."""
    async with App.open(Settings(models=MODELS, log_level="error")) as app:
        method = app.methods[CLASSIFY]
        request = pb.ClassifyRequest(model="mnist-16x16", version="2", pixels=bytes(784))
        answer = await both_ways(method, request, fast_path=True)
        assert not answer.predictions[0].candidates
        request.coverage = 0.9
        with pytest.raises(InvalidInput, match=r"coverage: is 0\.9, and model mnist-16x16 has no thresholds"):
            await both_ways(method, request)
