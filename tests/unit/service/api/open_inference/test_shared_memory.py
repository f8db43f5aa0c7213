"""System shared memory: what may be registered, what requests read and write, and what a client can spoil."""

import os
import secrets
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_protocol.inference import open_inference_pb2 as pb
from digits_protocol.inference import shared_memory_pb2 as memory_pb

from engine import shared_memory
from engine.errors import AlreadyExists, InvalidInput, NotAllowed
from engine.shared_memory import FOLDER, SharedMemory
from service.api.errors import translate
from service.api.open_inference import fast_path as quick_infer
from service.api.open_inference import infer
from service.api.open_inference import inputs as tensors
from service.app import App
from service.config import Settings, SettingsError, read_settings
from tests.support.server import small_models
from tests.unit.service.api.open_inference.calls import MNIST, STEM, arrays, ask, parameters, raw, set_parameters

PREFIX = f"digits-test-{secrets.token_hex(4)}-"

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"this machine has no {FOLDER}")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder in the place of /dev/shm."""
    return tmp_path


@pytest.fixture
def memory(folder: Path) -> SharedMemory:
    return SharedMemory("digits-", folder)


@pytest.fixture
def object_() -> Iterator[Path]:
    """A real shared-memory object of 1 MiB; its key is its name."""
    path = FOLDER / f"{PREFIX}{secrets.token_hex(4)}"
    path.write_bytes(bytes(2**20))
    yield path
    path.unlink(missing_ok=True)


@pytest.fixture
async def app():
    async with App.open(Settings(models=small_models(), log_level="error", shared_memory=f"/{PREFIX}")) as opened:
        yield opened


@pytest.fixture
def pixels(mnist_test) -> np.ndarray:
    return mnist_test[0][:50]


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


async def register(app: App, object_: Path, name: str = "mine", offset: int = 0, byte_size: int = 2**20) -> None:
    await ask(
        app,
        "SystemSharedMemoryRegister",
        memory_pb.SystemSharedMemoryRegisterRequest(
            name=name, key=f"/{object_.name}", offset=offset, byte_size=byte_size
        ),
    )


def shared(pixels: np.ndarray, offset: int = 0, region: str = "mine") -> pb.ModelInferRequest:
    """A request whose pixels lie in shared memory."""
    request = raw(pixels)
    del request.raw_input_contents[:]
    set_parameters(
        request.inputs[0],
        shared_memory_region=region,
        shared_memory_byte_size=pixels.nbytes,
        shared_memory_offset=offset,
    )
    return request


def want(request: pb.ModelInferRequest, name: str, byte_size: int, offset: int = 0, region: str = "mine") -> None:
    """Ask for an output in shared memory."""
    output = request.outputs.add(name=name)
    set_parameters(output, shared_memory_region=region, shared_memory_byte_size=byte_size, shared_memory_offset=offset)


async def refused(app: App, request: pb.ModelInferRequest) -> InvalidInput:
    with pytest.raises(InvalidInput) as raised:
        await ask(app, "ModelInfer", request)
    assert translate(raised.value, STEM).code is grpc.StatusCode.INVALID_ARGUMENT
    return raised.value


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
async def test_pixels_are_read_and_scores_written_in_shared_memory(app, object_, pixels, dtype):
    """Bit-equal with onnxruntime's; the answer tells where they are and carries no bytes of its own."""
    given = pixels.astype(dtype)
    with object_.open("r+b") as file:
        file.seek(1000)
        file.write(given.tobytes())
    await register(app, object_)
    request = shared(given, offset=1000)
    want(request, "scores", 4000, offset=500_000)
    want(request, "hidden_1", 50 * 16 * 4, offset=600_000)
    request.outputs.add(name="label")
    response = await ask(app, "ModelInfer", request)
    scored = app.repository.find(MNIST, "").session.run(pixels, hidden=True)
    content = object_.read_bytes()
    assert content[500_000:502_000] == scored.scores.tobytes()
    assert content[502_000:502_100] == bytes(100)
    assert content[600_000:603_200] == scored.hidden[0].tobytes()
    assert list(response.raw_output_contents) == [b"", b"", scored.labels.tobytes()]
    assert [list(output.shape) for output in response.outputs] == [[50, 10], [50, 16], [50]]
    assert parameters(response.outputs[0]) == {
        "shared_memory_region": "mine",
        "shared_memory_byte_size": 2000,
        "shared_memory_offset": 500_000,
    }


async def test_large_calls_use_shared_memory_from_a_thread(app, object_, mnist_test, monkeypatch):
    """The same bits, read and written off the event loop."""
    threads = []

    def noting(call, *given):
        threads.append(threading.current_thread())
        return call(*given)

    for name in ("preadv", "pwritev"):
        monkeypatch.setattr(shared_memory.os, name, partial(noting, getattr(os, name)))
    monkeypatch.setattr(tensors, "THREAD_BYTES", 40_000)
    monkeypatch.setattr(infer, "THREAD_BYTES", 40_000)
    monkeypatch.setattr(quick_infer, "THREAD_BYTES", 40_000)
    pixels = mnist_test[0][:1024]
    object_.write_bytes(pixels.tobytes() + bytes(2**20))
    await register(app, object_, byte_size=pixels.nbytes + 2**20)
    request = shared(pixels)
    want(request, "scores", 1024 * 40, offset=pixels.nbytes)
    await ask(app, "ModelInfer", request)
    scores = np.frombuffer(object_.read_bytes(), np.float32, 10240, pixels.nbytes).reshape(-1, 10)
    assert np.array_equal(scores, app.repository.find(MNIST, "").session.run(pixels).scores)
    assert len(threads) == 2
    assert threading.main_thread() not in threads


async def test_raw_pixels_may_be_answered_in_shared_memory_and_the_other_way_round(app, object_, pixels):
    """Each tensor by itself."""
    await register(app, object_)
    request = raw(pixels)
    want(request, "label", 400)
    await ask(app, "ModelInfer", request)
    wanted = app.repository.find(MNIST, "").session.run(pixels)
    assert object_.read_bytes()[:400] == wanted.labels.tobytes()
    object_.write_bytes(pixels.tobytes().ljust(2**20, b"\0"))
    assert np.array_equal(arrays(await ask(app, "ModelInfer", shared(pixels)))["scores"], wanted.scores)


async def test_a_region_is_a_stretch_of_its_object(app, object_, pixels):
    """Offsets of requests count from its start, and it ends before its object does."""
    object_.write_bytes(bytes(5000) + pixels.tobytes() + bytes(5000))
    await register(app, object_, offset=5000, byte_size=pixels.nbytes)
    wanted = app.repository.find(MNIST, "").session.run(pixels[1:]).scores
    answer = await ask(app, "ModelInfer", shared(pixels[1:], offset=784))
    assert np.array_equal(arrays(answer)["scores"], wanted)
    error = await refused(app, shared(pixels, offset=784))
    assert error.field == "inputs[0].parameters[shared_memory_byte_size]"
    assert "is 39200 from offset 784, and shared-memory region 'mine' has 39200 bytes" in error.description


async def test_bad_stretches_are_refused(app, object_, pixels):
    """Not all inside, of the wrong size, negative, overflowing, or given twice."""
    await register(app, object_)
    cases = []
    for offset in (-1, 2**20 - 10, 2**63 - 1):
        request = shared(pixels, offset=offset)
        cases.append((request, "inputs[0].parameters[shared_memory_"))
    request = shared(pixels)
    set_parameters(request.inputs[0], shared_memory_byte_size=pixels.nbytes - 1)
    cases.append((request, "inputs[0].parameters[shared_memory_byte_size]"))
    request = shared(pixels)
    request.raw_input_contents.append(pixels.tobytes())
    cases.append((request, "raw_input_contents"))
    request = shared(pixels)
    request.inputs[0].contents.uint_contents.extend([0] * pixels.size)
    cases.append((request, "inputs[0].contents"))
    for byte_size, offset in ((1999, 0), (2000, 2**20 - 1999), (2000, -4)):
        request = raw(pixels)
        want(request, "scores", byte_size, offset)
        cases.append((request, "outputs[0].parameters[shared_memory_"))
    request = raw(pixels, "scores")
    set_parameters(request.outputs[0], shared_memory_region="mine", shared_memory_byte_size=4000, classification=3)
    cases.append((request, "outputs[0].parameters[classification]"))
    for request, field in cases:
        assert (await refused(app, request)).field.startswith(field)


async def test_a_region_that_is_gone_is_unknown(app, object_, pixels):
    """After it was unregistered by its name, or with all others."""
    for name in ("mine", ""):
        await register(app, object_)
        await ask(app, "ModelInfer", shared(pixels))
        await ask(app, "SystemSharedMemoryUnregister", memory_pb.SystemSharedMemoryUnregisterRequest(name=name))
        error = await refused(app, shared(pixels))
        assert error.field == "inputs[0].parameters[shared_memory_region]"
        assert "'mine', which is not registered" in error.description


async def test_who_truncates_a_region_hurts_only_itself(app, object_, pixels):
    """Reading and writing are refused, nothing grows, and the next call is answered."""
    await register(app, object_)
    os.truncate(object_, 1000)
    error = await refused(app, shared(pixels))
    assert error.field == "inputs[0]"
    assert error.description == "shared-memory region 'mine' was truncated: 38200 bytes are missing"
    request = raw(pixels)
    want(request, "scores", 2000)
    error = await refused(app, request)
    assert error.field == "outputs[0]"
    assert "was truncated: 1000 bytes are missing" in error.description
    assert object_.stat().st_size == 1000
    assert len(arrays(await ask(app, "ModelInfer", raw(pixels)))["scores"]) == 50
    told = app.repository.find(MNIST, "").statistics
    assert told.failures["InvalidInput"].count >= 2


async def test_a_region_stays_the_object_that_was_registered(app, object_, pixels):
    """Though its key was unlinked and now means another."""
    object_.write_bytes(pixels.tobytes().ljust(2**20, b"\0"))
    await register(app, object_)
    object_.unlink()
    object_.write_bytes(b"\1" * 2**20)
    wanted = app.repository.find(MNIST, "").session.run(pixels).scores
    assert np.array_equal(arrays(await ask(app, "ModelInfer", shared(pixels)))["scores"], wanted)


async def test_the_status_lists_regions(app, object_):
    """One, or all."""
    await register(app, object_)
    await register(app, object_, name="other", offset=8, byte_size=16)
    answer = await ask(app, "SystemSharedMemoryStatus", memory_pb.SystemSharedMemoryStatusRequest())
    assert sorted(answer.regions) == ["mine", "other"]
    answer = await ask(app, "SystemSharedMemoryStatus", memory_pb.SystemSharedMemoryStatusRequest(name="other"))
    [region] = answer.regions.values()
    assert (region.name, region.key, region.offset, region.byte_size) == ("other", f"/{object_.name}", 8, 16)


async def test_without_a_prefix_nothing_can_be_registered(object_):
    """FAILED_PRECONDITION, with the flag; asking and forgetting find nothing."""
    async with App.open(Settings(models=small_models(), log_level="error")) as app:
        with pytest.raises(NotAllowed, match="--shared-memory") as raised:
            await register(app, object_)
        assert translate(raised.value, STEM).code is grpc.StatusCode.FAILED_PRECONDITION
        await ask(app, "SystemSharedMemoryUnregister", memory_pb.SystemSharedMemoryUnregisterRequest())
        answer = await ask(app, "SystemSharedMemoryStatus", memory_pb.SystemSharedMemoryStatusRequest())
        assert not answer.regions


def test_the_prefix_is_a_plain_name(monkeypatch):
    """It stops the start otherwise."""
    assert read_settings({"shared_memory": "/digits-"}).shared_memory == "/digits-"
    for bad in ("/", "a/b", "../x", "/digits /"):
        with pytest.raises(SettingsError, match="shared_memory"):
            read_settings({"shared_memory": bad})


@pytest.mark.parametrize(
    "key",
    [
        "/other-1",
        "other-1",
        "/digits-a/../other-1",
        "/digits-/x",
        "/digits-../x",
        "//digits-1",
        "",
        "/",
        "..",
        "/digits-\0x",
        "/digits-" + "x" * 300,
    ],
)
def test_keys_outside_the_prefix_or_with_a_path_in_them_are_refused(memory: SharedMemory, folder: Path, key: str):
    """Whatever lies there."""
    (folder / "other-1").write_bytes(bytes(10))
    with pytest.raises(InvalidInput) as raised:
        memory.register("mine", key, 0, 10)
    assert raised.value.field == "key"


@pytest.mark.parametrize("what", ["link", "folder", "pipe", "nothing"])
def test_only_a_plain_object_can_be_registered(memory: SharedMemory, folder: Path, what: str):
    """No link to another file, folder or pipe, nor what is not there."""
    path = folder / "digits-1"
    if what == "link":
        (folder / "target").write_bytes(bytes(10))
        path.symlink_to(folder / "target")
    elif what == "folder":
        path.mkdir()
    elif what == "pipe":
        os.mkfifo(path)
    before = open_descriptors()
    with pytest.raises(InvalidInput) as raised:
        memory.register("mine", "/digits-1", 0, 10)
    assert raised.value.field == "key"
    assert open_descriptors() == before


@pytest.mark.parametrize(("offset", "byte_size"), [(0, 11), (5, 6), (2**63, 2**63), (0, 0)])
def test_an_object_too_small_for_the_region_is_refused(memory: SharedMemory, folder: Path, offset: int, byte_size: int):
    """And nothing stays open."""
    (folder / "digits-1").write_bytes(bytes(10))
    before = open_descriptors()
    with pytest.raises(InvalidInput) as raised:
        memory.register("mine", "/digits-1", offset, byte_size)
    assert raised.value.field == "byte_size"
    del raised
    assert open_descriptors() == before
    assert not memory.status()


def test_a_name_is_registered_once(memory: SharedMemory, folder: Path):
    """Whatever it shall mean; it is free again once it was unregistered."""
    (folder / "digits-1").write_bytes(bytes(10))
    memory.register("mine", "digits-1", 0, 10)
    with pytest.raises(AlreadyExists, match="unregister it first"):
        memory.register("mine", "digits-1", 0, 10)
    memory.unregister("mine")
    memory.register("mine", "/digits-1", 0, 10)
    for bad in ("", "x" * 257):
        with pytest.raises(InvalidInput):
            memory.register(bad, "/digits-1", 0, 10)


def test_the_number_of_regions_is_bounded(memory: SharedMemory, folder: Path, monkeypatch):
    """Each holds an open file."""
    monkeypatch.setattr(shared_memory, "MAX_REGIONS", 3)
    (folder / "digits-1").write_bytes(bytes(10))
    for number in range(3):
        memory.register(str(number), "digits-1", 0, 10)
    with pytest.raises(NotAllowed, match="3 regions are registered"):
        memory.register("more", "digits-1", 0, 10)


def test_an_object_is_closed_after_its_last_user(memory: SharedMemory, folder: Path):
    """A request that found a region may use it though it was unregistered meanwhile."""
    (folder / "digits-1").write_bytes(b"0123456789")
    before = open_descriptors()
    memory.register("mine", "digits-1", 2, 5)
    region = memory.find("mine", "field")
    memory.unregister()
    target = np.zeros(3, np.uint8)
    region.read(1, target, "field")
    assert target.tobytes() == b"345"
    assert open_descriptors() == before + 1
    del region
    assert open_descriptors() == before
