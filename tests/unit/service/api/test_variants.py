"""A faster variant is served when it was asked for, and held against the same golden rows."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as oip

from artifact.store import VersionFolder
from engine.models.providers import candidates
from engine.models.repository import RepositoryError
from engine.models.session import ModelError, load_session
from service.api.method import LocalContext
from service.app import App
from service.config import Settings, SettingsError, read_settings
from tests.support.calibrated_model import export_sure
from tests.support.repositories import place
from tests.support.server import MODELS
from tests.unit.service.api.fast_path_equivalence import both_ways
from training.data.datasets import digits
from training.variants.variants import make_variant

CLASSIFY = "/digits.v1.DigitsService/Classify"
NETWORK = "/digits.v1.DigitsService/GetNetwork"
METADATA = "/inference.GRPCInferenceService/ModelMetadata"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`sure` with both variants, and `digits-8x8` without."""
    out = tmp_path_factory.mktemp("models")
    folder = export_sure(out, detects_outliers=True)
    for kind in ("int8", "fp16"):
        make_variant(folder, kind, digits().train.pixels, digits().test)
    shutil.copytree(MODELS / "digits-8x8", out / "digits-8x8")
    return out


@pytest.mark.parametrize("kind", ["int8", "fp16"])
async def test_it_answers_in_the_place_of_the_version(models: Path, kind: str):
    """Other scores within its tolerance, its own SHA-256 and name; other models stay what they are."""
    pixels = digits().test.pixels[:50]
    request = pb.ClassifyRequest(model="sure", pixels=pixels.tobytes())
    async with App.open(Settings(models=models, log_level="error")) as app:
        plain = await both_ways(app.methods[CLASSIFY], request, fast_path=True)
    async with App.open(Settings(models=models, log_level="error", variant=f"sure={kind}")) as app:
        answer = await both_ways(app.methods[CLASSIFY], request, fast_path=True)
        other = await both_ways(app.methods[CLASSIFY], replace_model(request, "digits-8x8"), fast_path=True)
        metadata = await app.methods[METADATA].handler(oip.ModelMetadataRequest(name="sure"), LocalContext())
        [layer] = (
            await app.methods[NETWORK].handler(pb.GetNetworkRequest(model="sure", layer=1), LocalContext())
        ).layers
    assert (plain.model.variant, answer.model.variant, other.model.variant) == ("", kind, "")
    assert answer.model.sha256 != plain.model.sha256
    before, after = (np.array([each.scores for each in given.predictions]) for given in (plain, answer))
    assert 0 < np.abs(before - after).max() <= 0.1
    assert metadata.properties["variant"] == kind
    assert len(layer.weights) == 64 * 24


def replace_model(request: pb.ClassifyRequest, name: str) -> pb.ClassifyRequest:
    return pb.ClassifyRequest(model=name, pixels=request.pixels)


async def test_a_version_without_the_variant_is_not_ready(models: Path, tmp_path: Path):
    """It is never served as another than was asked for; the sentence names the file, and others go on."""
    shutil.copytree(models / "sure", tmp_path / "sure")
    place(tmp_path, "digits-8x8", 1)
    place(tmp_path, "digits-8x8", 2)
    make_variant(VersionFolder(tmp_path, "digits-8x8", 1), "fp16", digits().train.pixels, digits().test)
    async with App.open(Settings(models=tmp_path, log_level="error", variant="digits-8x8=fp16")) as app:
        first, second = app.repository.models["digits-8x8"]
        assert second.reason.endswith("digits-8x8/2/model.fp16.onnx cannot be read: No such file or directory")
        assert app.repository.find("digits-8x8", "") is first
        assert app.repository.find("sure", "").session.card.variant == ""


@pytest.mark.parametrize(
    ("variant", "sentence"),
    [
        ("sure=int8,nobody=int8", "^model nobody is not in .*, which holds digits-8x8, sure"),
        ("sure=int8,digits-8x8=int8", "digits-8x8/1/model.int8.onnx cannot be read: No such file or directory$"),
    ],
)
async def test_a_model_that_has_no_such_variant_at_all_stops_the_start(models: Path, variant: str, sentence: str):
    """Whoever names one wants it served."""
    with pytest.raises(RepositoryError, match=sentence):
        async with App.open(Settings(models=models, log_level="error", variant=variant)):
            pass


async def test_a_variant_that_is_changed_on_disk_is_loaded_anew(models: Path, tmp_path: Path):
    """Its own file counts, that of the version does not."""
    shutil.copytree(models / "sure", tmp_path / "sure")
    settings = Settings(models=tmp_path, log_level="error", variant="sure=fp16", model_control="explicit")
    async with App.open(settings) as app:
        first = app.repository.find("sure", "")
        path = first.folder.path
        (path / "model.onnx").write_bytes(b"no longer read")
        await app.repository.load_model("sure")
        assert app.repository.find("sure", "") is first
        data = (path / "model.fp16.onnx").read_bytes()
        (path / "model.fp16.onnx").unlink()
        (path / "model.fp16.onnx").write_bytes(data)
        await app.repository.load_model("sure")
        assert app.repository.find("sure", "") is not first


def test_files_that_are_not_what_their_name_says(models: Path, tmp_path: Path):
    """Neither is a variant taken for the version, nor the other way, nor one for another."""
    shutil.copytree(models / "sure", tmp_path / "sure")
    folder = VersionFolder(tmp_path, "sure", 1)
    names = {kind: replace(folder, variant=kind).onnx for kind in ("", "int8", "fp16")}
    files = {kind: path.read_bytes() for kind, path in names.items()}
    for kind, path in names.items():
        for other in files.keys() - {kind}:
            path.write_bytes(files[other])
            with pytest.raises(ModelError, match=rf"says its variant is '{other}', expected '{kind}'"):
                load_session(replace(folder, variant=kind), candidates("cpu"), 1)


def test_golden_rows_decide_for_a_variant_too(models: Path, tmp_path: Path):
    """A label may differ where the two best scores are closer than twice the tolerance, and nowhere else."""
    shutil.copytree(models / "sure", tmp_path / "sure")
    folder = VersionFolder(tmp_path, "sure", 1, "int8")
    golden = folder.read_golden()
    second, best = np.sort(golden.scores, axis=1)[:, -2:].T
    margins = best - second
    for row, taken in ((int(margins.argmin()), True), (int(margins.argmax()), False)):
        assert (margins[row] < 0.2) == taken
        labels = golden.labels.copy()
        labels[row] = (labels[row] + 1) % 10
        folder.write_golden(replace(golden, labels=labels))
        if taken:
            assert load_session(folder, candidates("cpu"), 1).card.variant == "int8"
        else:
            with pytest.raises(ModelError, match="1 of 64 labels differ"):
                load_session(folder, candidates("cpu"), 1)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("int8", "expected name=int8 or name=fp16, with commas between"),
        ("sure=int4", "expected name=int8 or name=fp16"),
        ("sure=int8;other=fp16", "expected name=int8 or name=fp16"),
        ("sure=int8,", "expected name=int8 or name=fp16"),
        ("sure=int8,sure=fp16", "expected each model once"),
    ],
)
def test_a_setting_that_is_none_is_refused(variant: str, expected: str):
    """With what was expected."""
    with pytest.raises(SettingsError, match=expected):
        read_settings({"variant": variant})
