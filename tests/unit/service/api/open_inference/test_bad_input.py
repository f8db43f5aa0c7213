"""Every request of the Open Inference Protocol that is wrong: the field, and one clear sentence."""

from collections.abc import Callable

import grpc
import numpy as np
import pytest
import pytest_asyncio
from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import InvalidInput
from service.api.errors import translate
from service.app import App
from service.config import Settings
from tests.support.server import small_models
from tests.unit.service.api.open_inference.calls import SMALL, STEM, ask, raw, set_parameters, typed

ONE = np.zeros((1, 784), np.uint8)
FLOATS = ONE.astype(np.float32)

Edit = Callable[[pb.ModelInferRequest], object]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def app():
    async with App.open(Settings(models=small_models(), log_level="error")) as opened:
        yield opened


def changed(edit: Edit, base: pb.ModelInferRequest | None = None) -> pb.ModelInferRequest:
    request = pb.ModelInferRequest()
    request.CopyFrom(base or raw(ONE))
    edit(request)
    return request


def shaped(*shape: int) -> pb.ModelInferRequest:
    return changed(lambda r: (r.inputs[0].ClearField("shape"), r.inputs[0].shape.extend(shape)))


def with_outputs(*names: str, **parameters) -> pb.ModelInferRequest:
    request = raw(ONE, *names)
    for output in request.outputs:
        set_parameters(output, **parameters)
    return request


def floats(value: float) -> pb.ModelInferRequest:
    pixels = np.zeros((3, 784), np.float32)
    pixels[1, 5] = value
    return raw(pixels)


WANTED_SHAPE = "expected [N, 784] or [N, 28, 28] for model mnist-16x16"
CASES = {
    "a million outputs": (
        changed(lambda r: r.outputs.extend([pb.ModelInferRequest.InferRequestedOutputTensor(name="scores")] * 1001)),
        "outputs",
        "has 1001 entries, expected at most 1000",
    ),
    "an output twice in two ways": (
        changed(
            lambda r: (
                [r.outputs.add(name="scores") for _ in range(1000)],
                set_parameters(r.outputs[999], classification=3),
            )
        ),
        "outputs[999].name",
        "is scores again with other parameters, expected it once",
    ),
    **{
        f"a timeout as {kind}": (
            changed(lambda r, kind=kind, value=value: setattr(r.parameters["timeout"], kind, value)),
            "parameters[timeout]",
            "is no int64_param",
        )
        for kind, value in (
            ("string_param", "5"),
            ("double_param", 5.0),
            ("bool_param", True),
            ("uint64_param", 5),
        )
    },
    "a timeout without a value": (
        changed(lambda r: r.parameters["timeout"].SetInParent()),
        "parameters[timeout]",
        "is no int64_param",
    ),
    "a shape of a million dimensions": (
        changed(lambda r: r.inputs[0].shape.extend([1] * 1_000_000)),
        "inputs[0].shape",
        "has 1000002 dimensions, expected 2 to 4",
    ),
    "classes as a float": (
        changed(lambda r: setattr(r.outputs.add(name="scores").parameters["classification"], "double_param", 3.0)),
        "outputs[0].parameters[classification]",
        "is no int64_param",
    ),
    "a name of a megabyte": (
        changed(lambda r: setattr(r.inputs[0], "name", "x" * 1_000_000)),
        "inputs[0].name",
        "…, expected pixels or image",
    ),
    "a wrong name": (
        changed(lambda r: setattr(r.inputs[0], "name", "images")),
        "inputs[0].name",
        "is 'images', expected pixels or image",
    ),
    "pixels and pictures": (
        changed(lambda r: (r.inputs.add(name="image"), r.raw_input_contents.append(b""))),
        "inputs[1].name",
        "is image, and inputs[0] is pixels; expected exactly one of the two",
    ),
    "a missing input": (
        changed(lambda r: r.ClearField("inputs")),
        "inputs",
        "is empty, expected one input, pixels or image",
    ),
    "an extra input": (
        changed(lambda r: (r.inputs.add(name="mask"), r.raw_input_contents.append(b""))),
        "inputs[1].name",
        "is 'mask', expected pixels or image",
    ),
    "a duplicate input": (
        changed(lambda r: (r.inputs.append(r.inputs[0]), r.raw_input_contents.append(bytes(784)))),
        "inputs[1].name",
        "is pixels again, expected it once",
    ),
    "a wrong datatype": (
        changed(lambda r: setattr(r.inputs[0], "datatype", "INT64")),
        "inputs[0].datatype",
        "is 'INT64', expected UINT8, or FP32 with whole numbers in 0..255",
    ),
    "no datatype": (
        changed(lambda r: setattr(r.inputs[0], "datatype", "")),
        "inputs[0].datatype",
        "is '', expected UINT8",
    ),
    "a wrong width": (shaped(1, 783), "inputs[0].shape", f"is [1, 783], {WANTED_SHAPE}"),
    "no batch dimension": (shaped(784), "inputs[0].shape", f"is [784], {WANTED_SHAPE}"),
    "rows and columns swapped into channels": (
        shaped(1, 28, 1, 28),
        "inputs[0].shape",
        f"is [1, 28, 1, 28], {WANTED_SHAPE}",
    ),
    "no shape": (shaped(), "inputs[0].shape", f"is [], {WANTED_SHAPE}"),
    "a negative shape": (shaped(-1, 784), "inputs[0].shape", "is [-1, 784], expected 1 to 1024 images in one call"),
    "a negative width": (shaped(1, -784), "inputs[0].shape", f"is [1, -784], {WANTED_SHAPE}"),
    "two negative sizes": (shaped(1, -28, -28), "inputs[0].shape", f"is [1, -28, -28], {WANTED_SHAPE}"),
    "an overflowing shape": (shaped(2**63 - 1, 784), "inputs[0].shape", "expected 1 to 1024 images in one call"),
    "a shape that overflows to one image": (
        shaped(2**60 + 1, 784),
        "inputs[0].shape",
        "expected 1 to 1024 images in one call",
    ),
    "zero rows": (raw(np.zeros((0, 784), np.uint8)), "inputs[0].shape", "is [0, 784], expected 1 to 1024 images"),
    "too many rows": (
        raw(np.zeros((1025, 784), np.uint8)),
        "inputs[0].shape",
        "is [1025, 784], expected 1 to 1024 images",
    ),
    "a byte too few": (
        changed(lambda r: r.raw_input_contents.__setitem__(0, bytes(783))),
        "raw_input_contents[0]",
        "has 783 bytes, expected 784 for UINT8 [1, 784]",
    ),
    "bytes of the other datatype": (
        changed(lambda r: setattr(r.inputs[0], "datatype", "FP32")),
        "raw_input_contents[0]",
        "has 784 bytes, expected 3136 for FP32 [1, 784]",
    ),
    "mixed contents": (
        changed(lambda r: r.raw_input_contents.append(bytes(784)), typed(ONE)),
        "inputs[0].contents",
        "is set, and so is raw_input_contents; expected exactly one of the two",
    ),
    "two raw entries for one input": (
        changed(lambda r: r.raw_input_contents.append(bytes(784))),
        "raw_input_contents",
        "has 2 entries, expected one for each input: 1",
    ),
    "no contents at all": (
        changed(lambda r: r.ClearField("raw_input_contents")),
        "inputs[0].contents.uint_contents",
        "has 0 values, expected 784, and raw_input_contents is empty as well",
    ),
    "a typed value too few": (
        changed(lambda r: r.inputs[0].contents.uint_contents.pop(), typed(ONE)),
        "inputs[0].contents.uint_contents",
        "has 783 values, expected 784",
    ),
    "typed values in the field of another datatype": (
        changed(lambda r: setattr(r.inputs[0], "datatype", "FP32"), typed(ONE)),
        "inputs[0].contents.uint_contents",
        "is set, expected the values in fp32_contents",
    ),
    "a typed pixel above the range": (
        changed(lambda r: r.inputs[0].contents.uint_contents.__setitem__(3, 256), typed(ONE)),
        "inputs[0].contents.uint_contents",
        "has a pixel of 256, expected 0..255 for model mnist-16x16",
    ),
    "a raw pixel above the range": (
        raw(np.full((1, 64), 17, np.uint8), model_name=SMALL),
        "raw_input_contents[0]",
        "image 0 has a pixel of 17, expected 0..16 for model digits-8x8",
    ),
    "a scaled float": (
        floats(0.5),
        "raw_input_contents[0]",
        "image 1 has a pixel of 0.5; model mnist-16x16 wants raw pixels, whole numbers in 0..255",
    ),
    "a negative float": (floats(-1.0), "raw_input_contents[0]", "image 1 has a pixel of -1;"),
    "a float above a byte": (floats(256.0), "raw_input_contents[0]", "image 1 has a pixel of 256;"),
    "a huge float": (floats(3e38), "raw_input_contents[0]", "image 1 has a pixel of 3e+38;"),
    "not a number": (floats(float("nan")), "raw_input_contents[0]", "image 1 has a pixel of nan;"),
    "an infinite float": (floats(float("inf")), "raw_input_contents[0]", "image 1 has a pixel of inf;"),
    "a scaled typed float": (typed(FLOATS + 0.25), "inputs[0].contents", "image 0 has a pixel of 0.25;"),
    "an unknown output": (
        with_outputs("scores", "logits"),
        "outputs[1].name",
        "is 'logits', expected one of label, scores, hidden_1, hidden_2",
    ),
    "a hidden layer too many": (with_outputs("hidden_3"), "outputs[0].name", "is 'hidden_3', expected one of label"),
    "zero classes": (
        with_outputs("scores", classification=0),
        "outputs[0].parameters[classification]",
        "is 0, expected an integer of at least 1",
    ),
    "classes as text": (
        with_outputs("scores", classification="3"),
        "outputs[0].parameters[classification]",
        "expected an integer of at least 1",
    ),
    "classes of the label": (
        with_outputs("label", classification=1),
        "outputs[0].parameters[classification]",
        "label holds nothing to rank",
    ),
    "an input in a region that is not registered": (
        changed(
            lambda r: (
                r.ClearField("raw_input_contents"),
                set_parameters(r.inputs[0], shared_memory_region="mine", shared_memory_byte_size=784),
            )
        ),
        "inputs[0].parameters[shared_memory_region]",
        "names the shared-memory region 'mine', which is not registered",
    ),
    "an output in a region that is not registered": (
        with_outputs("scores", shared_memory_region="mine", shared_memory_byte_size=40),
        "outputs[0].parameters[shared_memory_region]",
        "names the shared-memory region 'mine', which is not registered",
    ),
}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("case", CASES)
async def test_bad_input_is_invalid_argument_and_names_the_field(app: App, case: str):
    """The message says what was expected; nothing is run."""
    request, field, sentence = CASES[case]
    statistics = app.repository.find(request.model_name, "").statistics
    runs = statistics.executions
    with pytest.raises(InvalidInput) as raised:
        await ask(app, "ModelInfer", request)
    assert raised.value.field == field
    assert sentence in raised.value.description
    failure = translate(raised.value, STEM + "ModelInfer")
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.message == f"{field}: {raised.value.description}"
    assert statistics.executions == runs
