"""The quick forms of ModelInfer and Classify: which calls they take, and that they answer as the handlers do."""

import asyncio
import gc
import weakref
from multiprocessing.shared_memory import SharedMemory

import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2
from digits_protocol.inference import open_inference_pb2, shared_memory_pb2

from artifact.store import VersionFolder
from engine.errors import DeadlinePassed, InvalidInput
from engine.shared_memory import Region
from engine.shared_memory import SharedMemory as Regions
from service.api.digits.fast_path import ClassifyFastPath
from service.api.method import LocalContext
from service.api.open_inference.fast_path import InferFastPath
from service.app import App
from service.config import Settings
from tests.support.server import MODELS, small_models
from tests.unit.service.api.fast_path_equivalence import answer_by_fast_path, both_ways, timeless
from tests.unit.service.api.open_inference.calls import MNIST, SMALL, STEM, arrays, ask, raw, set_parameters, typed

CLASSIFY = "/digits.v1.DigitsService/Classify"
PREFIX = "digits-test-quick"


@pytest.fixture
async def app():
    async with App.open(Settings(models=small_models(), log_level="error", shared_memory=PREFIX)) as opened:
        yield opened


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    """Real test images, uint8 [N, 784]."""
    return VersionFolder(MODELS, MNIST, 2).read_golden().pixels[:70]


@pytest.mark.parametrize("rows", [1, 2, 70])
@pytest.mark.parametrize("outputs", [(), ("scores",), ("hidden_2", "label"), ("label", "scores", "hidden_1")])
async def test_raw_pixels_are_quick_whatever_is_wanted(app, pixels, rows, outputs):
    """UINT8 and FP32, with an id and without, by the default model and by a version."""
    for fields in ({}, {"id": "seven"}, {"model_name": ""}, {"model_version": "1"}):
        await ask(app, "ModelInfer", raw(pixels[:rows], *outputs, **fields), fast_path=True)
        await ask(app, "ModelInfer", raw(pixels[:rows].astype(np.float32), *outputs, **fields), fast_path=True)


async def test_what_is_out_of_the_ordinary_is_left_to_the_handler(app, pixels):
    """Typed contents, ranked classes, long heads, ids that are not ASCII, compressed heads."""
    ranked = raw(pixels[:1], "scores")
    set_parameters(ranked.outputs[0], classification=3)
    long = raw(pixels[:1])
    long.parameters["note"].string_param = "x" * 2000
    for request in (typed(pixels[:1]), ranked, long, raw(pixels[:1], id="sieben – 7")):
        await ask(app, "ModelInfer", request, fast_path=False)


async def test_pixels_that_are_wrong_get_the_handlers_error(app, pixels):
    """A byte too few, no whole number, none at all, above the range."""
    short = raw(pixels[:2])
    short.raw_input_contents[0] = short.raw_input_contents[0][:-1]
    bare = raw(pixels[:1])
    del bare.raw_input_contents[:]
    for request in (
        short,
        bare,
        raw(pixels[:1] + np.float32(0.5)),
        raw(np.full((1, 64), 17, np.uint8), model_name=SMALL),
    ):
        with pytest.raises(InvalidInput):
            await ask(app, "ModelInfer", request)


async def test_shared_memory_is_quick_and_forgotten_with_its_region(app, pixels):
    """Both ways; after the region is gone the handler's error comes, and nothing holds the region any more."""
    region = SharedMemory(f"{PREFIX}-1", create=True, size=784 + 40)
    try:
        region.buf[:784] = pixels[0].tobytes()
        register = shared_memory_pb2.SystemSharedMemoryRegisterRequest(name="r", key=region.name, byte_size=824)
        await ask(app, "SystemSharedMemoryRegister", register)
        request = raw(pixels[:1], "scores", "label")
        del request.raw_input_contents[:]
        set_parameters(request.inputs[0], shared_memory_region="r", shared_memory_byte_size=784)
        place = {"shared_memory_region": "r", "shared_memory_byte_size": 40, "shared_memory_offset": 784}
        set_parameters(request.outputs[0], **place)
        await ask(app, "ModelInfer", request, fast_path=True)
        wanted = app.repository.find(MNIST, "").session.run(pixels[:1]).scores
        assert np.array_equal(np.frombuffer(region.buf[784:].tobytes(), np.float32), wanted[0])

        gc.collect()  # regions of earlier tests may wait for it
        [held] = [weakref.ref(each) for each in gc.get_objects() if isinstance(each, Region)]
        await ask(app, "SystemSharedMemoryUnregister", shared_memory_pb2.SystemSharedMemoryUnregisterRequest(name="r"))
        gc.collect()
        assert held() is None
        with pytest.raises(InvalidInput, match="not registered"):
            await ask(app, "ModelInfer", request, fast_path=False)
    finally:
        region.close()
        region.unlink()


async def test_callers_of_one_batch_get_their_own_rows(app, pixels):
    """By both protocols at once, each what it gets alone."""
    infer, classify = app.methods[STEM + "ModelInfer"], app.methods[CLASSIFY]
    requests = [(infer, raw(pixels[i : i + 1 + i % 3], "scores", "hidden_1")) for i in range(12)]
    requests += [(classify, digits_pb2.ClassifyRequest(pixels=pixels[i : i + 2].tobytes())) for i in range(12)]
    alone = [await method.handler(request, LocalContext()) for method, request in requests]
    together = await asyncio.gather(
        *(method.fast_path(request.SerializeToString(), 0, LocalContext()) for method, request in requests)
    )
    batches = set()
    for (method, _), one, data in zip(requests, alone, together, strict=True):
        answer = method.response.FromString(data)
        if method is infer:
            batches.add(answer.parameters["batch_rows"].int64_param)
            for name, values in arrays(one).items():
                assert np.array_equal(arrays(answer)[name], values)
        else:
            batches.add(answer.timings.batch_rows)
            assert answer.predictions == one.predictions
    assert max(batches) > 3


@pytest.mark.parametrize("rows", [1, 2, 70])
async def test_classify_is_quick_for_raw_pixels(app, pixels, rows):
    """Digits, scores, margins and who answered, as the handler writes them; for other models too."""
    method = app.methods[CLASSIFY]
    for fields in ({}, {"model": MNIST}, {"model": MNIST, "version": "1"}):
        request = digits_pb2.ClassifyRequest(pixels=pixels[:rows].tobytes(), **fields)
        await both_ways(method, request, fast_path=True)
    small = np.random.default_rng(1).integers(0, 17, (rows, 64), np.uint8)
    await both_ways(method, digits_pb2.ClassifyRequest(pixels=small.tobytes(), model=SMALL), fast_path=True)


async def test_classify_warns_and_refuses_as_the_handler_does(app, pixels):
    """Blank and inverted images have warnings; activations and encoded images are the handler's."""
    method = app.methods[CLASSIFY]
    odd = np.concatenate([pixels[:2], 255 - pixels[2:3], np.zeros((1, 784), np.uint8)])
    for rows in (odd, odd[3:]):
        answer = await both_ways(method, digits_pb2.ClassifyRequest(pixels=rows.tobytes()), fast_path=True)
        assert answer.predictions[len(rows) - 1].warnings
    shown = digits_pb2.ClassifyRequest(pixels=pixels[:1].tobytes(), include_activations=True)
    await both_ways(method, shown, fast_path=False)
    for wrong in (
        digits_pb2.ClassifyRequest(),
        digits_pb2.ClassifyRequest(pixels=b"x"),
        digits_pb2.ClassifyRequest(pixels=bytes(784 * 1025)),
        digits_pb2.ClassifyRequest(pixels=bytes([17]) * 64, model=SMALL),
        digits_pb2.ClassifyRequest(pixels=pixels[:1].tobytes(), encoded_images=[b"x"]),
    ):
        with pytest.raises(InvalidInput):
            await both_ways(method, wrong)


async def test_a_deadline_that_passed_is_kept(app, pixels):
    """As by the handler."""
    with pytest.raises(DeadlinePassed):
        await app.methods[STEM + "ModelInfer"].fast_path(
            raw(pixels[:1]).SerializeToString(), 0, LocalContext(deadline=0.0)
        )
    request = digits_pb2.ClassifyRequest(pixels=pixels[:1].tobytes())
    with pytest.raises(DeadlinePassed):
        await app.methods[CLASSIFY].fast_path(request.SerializeToString(), 0, LocalContext(deadline=0.0))


async def test_quick_calls_are_counted(app, pixels):
    """In the statistics of their version."""
    statistics = app.repository.find(MNIST, "").statistics
    classify = digits_pb2.ClassifyRequest(pixels=pixels[:1].tobytes())
    infer = raw(pixels[:3]).SerializeToString()
    assert await answer_by_fast_path(app.methods[STEM + "ModelInfer"], infer, 0, LocalContext())
    assert await answer_by_fast_path(app.methods[CLASSIFY], classify.SerializeToString(), 0, LocalContext())
    assert (statistics.success.count, statistics.rows) == (2, 4)


async def test_what_is_remembered_is_bounded(app, pixels, monkeypatch):
    """However many different heads come."""
    monkeypatch.setattr("service.api.cache.MAX_TEMPLATES", 8)
    infer = InferFastPath(app.repository, Regions(""), 100)
    classify = ClassifyFastPath(app.repository, 100)
    for number in range(30):
        request = raw(pixels[:1])
        request.parameters["n"].int64_param = number
        assert await infer.start(request.SerializeToString(), 0, LocalContext())
        asked = digits_pb2.ClassifyRequest(pixels=pixels[:1].tobytes(), version=str(number))
        answer = classify.start(asked.SerializeToString(), 0, LocalContext())
        assert (answer is None) == (number not in (1, 2))
    for kept in (infer.templates, classify.templates):
        assert 0 < len(kept) <= 8


async def test_answers_to_one_head_differ_in_their_id_alone(app, pixels):
    """The id is no part of what is remembered."""
    infer = InferFastPath(app.repository, Regions(""), 100)
    answers = []
    for id_ in ("a", "b", ""):
        data = await infer.start(raw(pixels[:1], id=id_).SerializeToString(), 0, LocalContext())
        answers.append(timeless(open_inference_pb2.ModelInferResponse.FromString(data)))
    assert [answer.id for answer in answers] == ["a", "b", ""]
    for answer in answers:
        answer.id = ""
    assert answers[0] == answers[1] == answers[2]
    assert len(infer.templates) == 1
