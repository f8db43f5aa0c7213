"""Which nodes run where: what is required for a GPU runs there alone, and what has no kernel there says so."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from structlog.testing import capture_logs

from artifact.store import VersionFolder, find_versions
from engine.models import providers
from engine.models.providers import CPU, CUDA, candidates, open_session
from engine.models.repository import Repository
from engine.models.session import ModelError, load_session
from service.config import Settings
from tests.support.repositories import place
from tests.support.server import MODELS
from training.data.datasets import digits
from training.variants.fp16 import build_fp16
from training.variants.variants import make_variant, read_version

AZURE = "AzureExecutionProvider"
"""In every onnxruntime for Linux and Windows, and without a kernel for any node of ours: it stands in for a GPU."""

VERSIONS = list(find_versions(MODELS))
IDS = [f"{each.name} {each.version}" for each in VERSIONS]

# Of the operators and types that our graphs have, those with a kernel on CUDA, by onnxruntime's own table
# (docs/OperatorKernels.md); there is none of Mean, and of MatMulInteger one of int8 alone.
ON_CUDA = {"Add", "ArgMax", "Cast", "Concat", "Gather", "MatMul", "Mul", "Relu", "Sigmoid", "Softmax", "Sum", "Tanh"}

needs_cuda = pytest.mark.skipif(
    CUDA not in onnxruntime.get_available_providers(), reason="needs onnxruntime-gpu and a GPU"
)
needs_azure = pytest.mark.skipif(AZURE not in onnxruntime.get_available_providers(), reason=f"needs {AZURE}")


@needs_azure
def test_nodes_without_a_kernel_are_refused_where_a_provider_shall_run_alone():
    """Else onnxruntime leaves them to the CPU without a word."""
    model = VERSIONS[0].read_onnx()
    assert open_session(model, (AZURE, {}), 1).get_providers()[0] == AZURE
    with pytest.raises(RuntimeError, match=f"run on the CPU alone, and {AZURE} is required"):
        open_session(model, (AZURE, {}), 1, alone=True)
    assert open_session(model, (CPU, {}), 1, alone=True).get_providers() == [CPU]


@needs_azure
def test_the_only_provider_runs_alone_and_others_come_before_the_cpu():
    """Whether it is required is told by what stands behind it."""
    with pytest.raises(ModelError, match="is required for all"):
        load_session(VERSIONS[0], [(AZURE, {})], 1)
    with capture_logs() as logged:
        assert load_session(VERSIONS[0], [(AZURE, {}), (CPU, {})], 1).provider == CPU
    [refused] = logged
    assert "states no tolerance" in refused["reason"]  # by the card, and not for its nodes


async def test_what_is_required_is_the_only_provider(monkeypatch: pytest.MonkeyPatch):
    """And what is not has the CPU behind it."""
    monkeypatch.setattr(providers.onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    for required, wanted in ((True, [CUDA]), (False, [CUDA, CPU])):
        repository = Repository(Settings(models=MODELS, provider="cuda", require_provider=required))
        assert [name for name, _ in repository._loader._providers] == wanted


def test_a_run_that_fails_is_not_repeated_on_the_cpu():
    """By onnxruntime's Python, for this run and all that follow."""
    assert open_session(VERSIONS[0].read_onnx(), (CPU, {}), 1)._enable_fallback is False


def operators(model: bytes) -> set[str]:
    return {node.op_type for node in onnx.load_from_string(model).graph.node}


@pytest.mark.parametrize("folder", VERSIONS, ids=IDS)
def test_every_node_of_a_model_has_a_kernel_on_cuda(folder: VersionFolder):
    """And so has every node of its float16."""
    model, card = read_version(folder)
    assert operators(model) <= ON_CUDA
    assert operators(build_fp16(model, card, replace(card, variant="fp16"))) <= ON_CUDA


def variants() -> Iterator[VersionFolder]:
    for folder in VERSIONS:
        yield from (each for kind in ("int8", "fp16") if (each := replace(folder, variant=kind)).onnx.exists())


@pytest.mark.parametrize("folder", list(variants()), ids=lambda folder: f"{folder.name} {folder.variant}")
def test_the_card_of_a_variant_names_the_providers_that_have_all_its_kernels(folder: VersionFolder):
    """A server takes it on no other."""
    model, card = read_version(folder)
    assert (CUDA in card.tolerance) == (operators(model) <= ON_CUDA)
    assert CPU in card.tolerance


@needs_cuda
@pytest.mark.parametrize("folder", VERSIONS, ids=IDS)
def test_every_model_runs_on_cuda_alone(folder: VersionFolder):
    """And reproduces its golden rows there."""
    session = load_session(folder, candidates("cuda")[:1], 1)
    assert session.provider == CUDA
    pixels = np.zeros((3, session.card.features), np.uint8)
    assert session.run(pixels, hidden=True).scores.shape == (3, len(session.card.classes))


@needs_cuda
def test_of_the_variants_float16_runs_on_cuda_alone_and_int8_does_not(tmp_path: Path):
    """Though onnxruntime itself would run it, in part on the CPU."""
    place(tmp_path, "digits-8x8", 1)
    folder, data = VersionFolder(tmp_path, "digits-8x8", 1), digits()
    assert load_session(make_variant(folder, "fp16", data.train.pixels, data.test), candidates("cuda")[:1], 1)
    with pytest.raises(ModelError, match="is required for all"):
        load_session(make_variant(folder, "int8", data.train.pixels, data.test), candidates("cuda")[:1], 1)
