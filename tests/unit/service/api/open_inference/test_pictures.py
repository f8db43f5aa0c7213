"""Pictures as the input `image`, and pixels in the shapes that pictures have: the same scores as any other way."""

import numpy as np
import pytest
import pytest_asyncio
from digits_protocol.digits.v1 import digits_pb2
from digits_protocol.inference import open_inference_pb2 as pb

from artifact.store import VersionFolder
from engine.errors import InvalidInput
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.pictures import file_of, in_line
from tests.support.server import MODELS, small_models
from tests.unit.service.api.open_inference.calls import (
    MNIST,
    SMALL,
    arrays,
    ask,
    raw,
    set_parameters,
    stream,
    strings,
    typed,
)

CLASSIFY = "/digits.v1.DigitsService/Classify"
PNG = file_of(np.zeros((9, 9), np.uint8))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app():
    async with App.open(Settings(models=small_models(), log_level="error")) as opened:
        yield opened


def pictures(
    files: list[bytes], *outputs: str, shape: list[int] | None = None, datatype: str = "BYTES", **fields: str
) -> pb.ModelInferRequest:
    """A request with raw contents; `shape` is [N] by default."""
    request = pb.ModelInferRequest(**{"model_name": MNIST, **fields})
    request.inputs.add(name="image", datatype=datatype, shape=[len(files)] if shape is None else shape)
    request.raw_input_contents.append(b"".join(len(each).to_bytes(4, "little") + each for each in files))
    for output in outputs:
        request.outputs.add(name=output)
    return request


def changed(edit, base: pb.ModelInferRequest) -> pb.ModelInferRequest:
    edit(base)
    return base


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("shape", [[3], [3, 1]])
async def test_pictures_are_scored_as_classify_scores_them(app: App, shape):
    """Raw, typed and in a stream; with the warnings of both when they are asked for."""
    ink = VersionFolder(MODELS, MNIST, 2).read_golden().pixels[:2].reshape(2, 28, 28)
    files = [file_of(ink[0]), file_of(in_line(ink)), PNG]
    classify = digits_pb2.ClassifyRequest(model=MNIST, encoded_images=files)
    wanted = (await app.methods[CLASSIFY].handler(classify, LocalContext())).predictions
    request = pictures(files, "label", "scores", "warnings", shape=shape)
    one_by_one = pb.ModelInferRequest()
    one_by_one.CopyFrom(request)
    one_by_one.ClearField("raw_input_contents")
    one_by_one.inputs[0].contents.bytes_contents.extend(files)
    [streamed] = await stream(app, [request])
    for answer in (await ask(app, "ModelInfer", request, fast_path=False), streamed.infer_response):
        label, scores, warnings = answer.raw_output_contents
        assert np.frombuffer(label, np.int64).tolist() == [each.digit for each in wanted]
        assert np.frombuffer(scores, np.float32).tolist() == [score for each in wanted for score in each.scores]
        assert strings(warnings) == [",".join(each.warning_codes) for each in wanted]
    answer = await ask(app, "ModelInfer", one_by_one, fast_path=False)
    assert list(answer.outputs[1].contents.fp32_contents) == [score for each in wanted for score in each.scores]
    assert [list(each.warning_codes) for each in wanted[1:]] == [["several_marks"], ["blank"]]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("model", [MNIST, SMALL])
async def test_pixels_are_taken_in_the_shapes_of_pictures(app: App, model: str):
    """With an axis for the one channel, first or last, and one picture alone; by the fast path too."""
    card = app.repository.find(model, "").session.card
    rows, cols = card.rows, card.cols
    pixels = VersionFolder(MODELS, model, card.version).read_golden().pixels[:5]
    wanted = arrays(await ask(app, "ModelInfer", raw(pixels, model_name=model)))
    for shape in ([5, rows, cols], [5, 1, rows, cols], [5, rows, cols, 1]):
        request = raw(pixels.reshape(shape), model_name=model)
        got = arrays(await ask(app, "ModelInfer", request, fast_path=True))
        assert all(np.array_equal(got[name], values) for name, values in wanted.items())
    one = raw(pixels[0].reshape(rows, cols), model_name=model)
    got = arrays(await ask(app, "ModelInfer", one, fast_path=True))
    assert (got["label"].shape, got["scores"].shape) == ((1,), (1, 10))
    assert np.array_equal(got["scores"][0], wanted["scores"][0])
    for shape in ([5, rows, 1, cols], [1, 5, rows, cols], [rows * cols], [5, 1, rows, cols, 1], [1, rows, cols, 5]):
        request = typed(pixels, model_name=model)
        request.inputs[0].shape[:] = shape
        with pytest.raises(InvalidInput, match="for one image"):
            await ask(app, "ModelInfer", request)


CASES = {
    "pixels called image": (
        changed(lambda r: setattr(r.inputs[0], "name", "image"), raw(np.zeros((1, 784), np.uint8))),
        "inputs[0].datatype",
        "is 'UINT8', expected BYTES, one picture an element",
    ),
    "pictures as numbers": (pictures([b""], datatype="UINT8"), "inputs[0].datatype", "expected BYTES, one picture an"),
    "pictures in a grid": (pictures([b""], shape=[1, 28, 28]), "inputs[0].shape", "is [1, 28, 28], expected [N]"),
    "no pictures": (pictures([], shape=[0]), "inputs[0].shape", "is [0], expected 1 to 1024 images in one call"),
    "pictures without a value": (
        changed(lambda r: r.ClearField("raw_input_contents"), pictures([b""])),
        "inputs[0].contents",
        "is not set, and raw_input_contents has 0 entries; expected exactly one of the two",
    ),
    "pictures that are text": (pictures([b"Dear sir"]), "inputs[0][0]", "image"),
    "pictures of which one is none": (pictures([PNG, b"Dear sir"]), "inputs[0][1]", "image"),
    "fewer pictures than promised": (
        pictures([b"a"], shape=[2]),
        "raw_input_contents[0]",
        "has 5 bytes, of which 1 elements take 5; expected 2 elements",
    ),
    "more pictures than promised": (
        pictures([b"a", b"b"], shape=[1]),
        "raw_input_contents[0]",
        "has 10 bytes, of which 1 elements take 5; expected 1 elements",
    ),
    "a picture that ends early": (
        changed(lambda r: r.raw_input_contents.__setitem__(0, b"\5\0\0\0abc"), pictures([b""])),
        "raw_input_contents[0]",
        "ends within element 0 of 1",
    ),
    "a picture's length that ends early": (
        changed(lambda r: r.raw_input_contents.__setitem__(0, b"\0\0"), pictures([b""])),
        "raw_input_contents[0]",
        "ends within element 0 of 1",
    ),
    "pictures in the field of numbers": (
        changed(
            lambda r: (r.ClearField("raw_input_contents"), r.inputs[0].contents.uint_contents.append(1)),
            pictures([b""]),
        ),
        "inputs[0].contents.uint_contents",
        "is set, expected the pictures in bytes_contents",
    ),
    "pictures in shared memory": (
        changed(lambda r: set_parameters(r.inputs[0], shared_memory_region="r"), pictures([b""])),
        "inputs[0].parameters[shared_memory_region]",
        "is set, and image does not come that way",
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES)
async def test_wrong_pictures_are_refused_by_a_sentence(app: App, case: str):
    """It names the field, and what was expected."""
    request, field, sentence = CASES[case]
    with pytest.raises(InvalidInput) as raised:
        await ask(app, "ModelInfer", request, fast_path=False)
    assert raised.value.field == field
    assert sentence in raised.value.description
