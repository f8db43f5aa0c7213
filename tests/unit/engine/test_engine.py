"""The small parts of the runtime: cores, providers, the border between loop and thread, decoding."""

import asyncio
import io
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from artifact.store import VersionFolder
from engine.cpus import usable_cores
from engine.decode_pool import DecodePool
from engine.errors import DeadlinePassed, InvalidInput, QueueFull
from engine.models import providers
from engine.models.providers import CPU, CUDA, candidates, open_session
from engine.models.session import ModelError, Session, load_session
from engine.statistics import Statistics, Summary
from tests.support.server import MODELS

FOLDER = VersionFolder(MODELS, "mnist-16x16", 2)


@pytest.fixture(scope="module")
def session() -> Session:
    return load_session(FOLDER, [(CPU, {})], threads=1)


@pytest.mark.parametrize(
    ("limit", "cores"), [("150000 100000", 2), ("50000 100000", 1), ("100000 100000", 1), ("max 100000", None)]
)
def test_cores_are_those_of_the_cgroup_rounded_up(tmp_path: Path, limit: str, cores: int | None):
    """A container with half a core gets one thread, not the machine's sixty-four."""
    (tmp_path / "cpu.max").write_text(limit)
    unlimited = usable_cores(tmp_path / "nowhere")
    assert usable_cores(tmp_path) == min(cores or unlimited, unlimited)
    assert unlimited >= 1


@pytest.mark.parametrize(("quota", "cores"), [(150000, 2), (50000, 1), (-1, None)])
def test_cores_are_those_of_a_cgroup_of_version_1(tmp_path: Path, quota: int, cores: int | None):
    """Older hosts write the same limit into two files, -1 for none."""
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(f"{quota}\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    unlimited = usable_cores(tmp_path / "nowhere")
    assert usable_cores(tmp_path) == min(cores or unlimited, unlimited)


def test_auto_tries_cuda_only_where_onnxruntime_has_it(monkeypatch: pytest.MonkeyPatch):
    """And always has the CPU to fall back to."""
    monkeypatch.setattr(providers.onnxruntime, "get_available_providers", lambda: [CPU])
    assert [name for name, _ in candidates("auto")] == [CPU]
    monkeypatch.setattr(providers.onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(providers.onnxruntime, "preload_dlls", lambda: None)
    assert [name for name, _ in candidates("auto")] == [CUDA, CPU]
    options = dict(candidates("cuda", cuda_device=1, cuda_memory_mb=512))[CUDA]
    assert (options["device_id"], options["gpu_mem_limit"], options["use_tf32"]) == ("1", str(512 * 2**20), "0")
    assert "gpu_mem_limit" not in dict(candidates("cuda"))[CUDA]
    assert [name for name, _ in candidates("cpu")] == [CPU]


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_silent_fallback_to_another_provider_is_an_error(monkeypatch: pytest.MonkeyPatch):
    """onnxruntime itself only logs it."""
    monkeypatch.setattr(providers.onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    with pytest.raises(RuntimeError, match="took CPUExecutionProvider where CUDAExecutionProvider was asked for"):
        open_session(FOLDER.onnx.read_bytes(), (CUDA, {}), threads=1)


def test_the_card_must_state_a_tolerance_for_the_device(tmp_path: Path, session: Session):
    """No tolerance, no service on it."""
    other = Session(replace(session.card, tolerance={CPU: 1e-5}), session.sha256, CUDA, session._session)
    from engine.models.session import _check_golden

    with pytest.raises(ModelError, match="states no tolerance for CUDAExecutionProvider"):
        _check_golden(other, FOLDER)


def test_the_border_of_inline_runs_is_measured(session: Session):
    """No time, no rows; much time, up to the limit."""
    assert session.rows_within(0.0, 1024) == 0
    assert session.rows_within(10.0, 100) in (64, 100)


def test_the_same_rows_are_bit_equal_in_any_batch(session: Session):
    """So that nobody can tell whom they shared a batch with."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (256, 784)).astype(np.uint8)
    together = session.run(pixels, hidden=True)
    for start, stop in ((0, 1), (7, 40), (100, 256)):
        alone = session.run(pixels[start:stop])
        assert np.array_equal(alone.scores, together.scores[start:stop])
        assert np.array_equal(alone.labels, together.labels[start:stop])


def png(value: int = 255) -> bytes:
    image = Image.new("L", (60, 60), 0)
    image.paste(value, (20, 20, 40, 40))
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


@pytest.fixture
def decode_pool():
    made = DecodePool(max_image_pixels=10_000, max_images=10)
    yield made
    made.close()


async def test_images_come_back_as_rows_in_order(decode_pool: DecodePool, session: Session):
    """One row an image, with its warnings."""
    pixels, warnings = await decode_pool.prepare([png(), png(0), png()], session.card, None)
    assert pixels.shape == (3, 784)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels[0], pixels[2])
    assert [len(each) for each in warnings] == [0, 1, 0]


async def test_the_first_bad_image_is_named_by_its_index(decode_pool: DecodePool, session: Session):
    """Though later ones are bad too."""
    with pytest.raises(InvalidInput) as raised:
        await decode_pool.prepare([png(), b"no", b"neither"], session.card, None)
    assert raised.value.field == "encoded_images[1]"


async def test_more_images_than_may_wait_are_refused_or_waited_for(decode_pool: DecodePool, session: Session):
    """The bound is in images; room comes back when a call is done, however it ended."""
    many = asyncio.create_task(decode_pool.prepare([png()] * 8, session.card, None))
    await asyncio.sleep(0)
    with pytest.raises(QueueFull):
        await decode_pool.prepare([png()] * 3, session.card, None)
    with pytest.raises(DeadlinePassed):
        await decode_pool.wait_for_capacity(3, time.monotonic())
    await decode_pool.wait_for_capacity(3, time.monotonic() + 30)
    assert many.done()
    for _ in range(3):
        with pytest.raises(InvalidInput):
            await decode_pool.prepare([b"bad"] * 10, session.card, None)


async def test_images_whose_deadline_has_passed_are_not_decoded(decode_pool: DecodePool, session: Session):
    """The caller is told why."""
    with pytest.raises(DeadlinePassed):
        await decode_pool.prepare([png()], session.card, time.monotonic() - 1)


def test_a_summary_is_the_same_after_a_way_through_json():
    """What a worker tells its supervisor."""
    import json

    counted = Statistics()
    counted.ran(3, 10, 20, 30)
    counted.calls["/t.T/One"].failed("InvalidInput", 7)
    counted.calls["/t.T/Two"].times.add(99)
    summary = counted.summary()
    counters = json.loads(json.dumps(summary.counters()))
    assert Summary.of(counters, counted.last_inference_ms) == summary
    assert (summary.success.count, summary.failures["InvalidInput"].ns, summary.rows) == (1, 7, 3)
