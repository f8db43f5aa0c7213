"""The input of a ModelInfer request becomes the model's pixels."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from digits_protocol.inference import open_inference_pb2 as pb
from numpy.typing import NDArray

from artifact.card import Card
from artifact.names import INPUT
from engine.errors import InvalidInput, quoted
from engine.shared_memory import Region, SharedMemory
from imaging.pixels import PixelError, check_range

# Data types of the input: numpy's, and the field of `InferTensorContents` that holds it.
DTYPES: dict[str, tuple[np.dtype[Any], str]] = {
    "UINT8": (np.dtype(np.uint8), "uint_contents"),
    "FP32": (np.dtype("<f4"), "fp32_contents"),
}

# From here on bytes are copied and converted in a thread. Measured: a thread and its cold memory cost 0.3 ms, which
# is as long as the conversion of 3 MB takes.
THREAD_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Window:
    """Bytes of a shared-memory region that a tensor lies in, or is to be written to."""

    region: Region
    offset: int
    """From the start of the region."""
    byte_size: int


# More are not read: a hostile shape can have millions.
MAX_DIMENSIONS = 8

IMAGE = "image"
"""The input that holds pictures instead of pixels, see `service.api.open_inference.pictures`."""


def find_window(parameters: Mapping[str, pb.InferParameter], memory: SharedMemory, name: str) -> Window | None:
    """What the parameters of the tensor in the field `name` say of shared memory; None for nothing.

    Raises `InvalidInput` for an unknown region and for bytes that are not all inside it.
    """
    if not parameters or "shared_memory_region" not in parameters:
        return None
    field = f"{name}.parameters"
    region = memory.find(parameters["shared_memory_region"].string_param, f"{field}[shared_memory_region]")
    byte_size = _whole(parameters, "shared_memory_byte_size", field)
    offset = _whole(parameters, "shared_memory_offset", field)
    if offset + byte_size > region.byte_size:
        raise InvalidInput(
            f"{field}[shared_memory_byte_size]",
            f"is {byte_size} from offset {offset}, and {region} has {region.byte_size} bytes",
        )
    return Window(region, offset, byte_size)


def _whole(parameters: Mapping[str, pb.InferParameter], key: str, field: str) -> int:
    if key not in parameters:
        return 0
    number = whole(parameters[key])
    if number is None:
        raise InvalidInput(f"{field}[{key}]", "is no int64_param or uint64_param")
    if number < 0:
        raise InvalidInput(f"{field}[{key}]", f"is {number}, expected 0 or more")
    return number


def whole(parameter: pb.InferParameter) -> int | None:
    """A parameter that is a whole number; None when it is something else."""
    kind = parameter.WhichOneof("parameter_choice")
    return getattr(parameter, kind) if kind in ("int64_param", "uint64_param") else None


def is_typed(tensor: pb.ModelInferRequest.InferInputTensor) -> bool:
    """Whether the values stand in `contents`; clients that send raw bytes may set an empty one."""
    return tensor.HasField("contents") and bool(tensor.contents.ListFields())


@dataclass(frozen=True, slots=True)
class Form:
    """What a request says of its pixels before they are looked at."""

    rows: int
    """Images, 1..max_rows."""
    dtype: np.dtype[Any]
    contents: str
    """The field of `InferTensorContents` that would hold them."""
    byte_size: int
    """Of all pixels as raw bytes."""
    window: Window | None
    """Where in shared memory they lie; it has the right size."""


def read_form(request: pb.ModelInferRequest, card: Card, max_rows: int, memory: SharedMemory) -> Form:
    """The form of a request, of which `raw_input_contents` is not looked at. Raises `InvalidInput` naming the field."""
    tensor = only_input(request)
    if tensor.datatype not in DTYPES:
        raise InvalidInput(
            "inputs[0].datatype",
            f"is {quoted(tensor.datatype)}, expected UINT8, or FP32 with whole numbers in 0..{card.pixel_max}",
        )
    dtype, field = DTYPES[tensor.datatype]
    if len(tensor.shape) > MAX_DIMENSIONS:
        raise InvalidInput("inputs[0].shape", f"has {len(tensor.shape)} dimensions, expected 2 to 4")
    rows = _rows(list(tensor.shape), card, max_rows)
    size = rows * card.features * dtype.itemsize
    window = find_window(tensor.parameters, memory, "inputs[0]")
    if window is not None and window.byte_size != size:
        raise InvalidInput(
            "inputs[0].parameters[shared_memory_byte_size]",
            f"is {window.byte_size}, expected {size} for {tensor.datatype} {list(tensor.shape)}",
        )
    return Form(rows, dtype, field, size, window)


async def read_pixels(request: pb.ModelInferRequest, form: Form, card: Card) -> NDArray[np.uint8]:
    """The pixels of a request, uint8 [N, rows*cols], in the card's range. Raises `InvalidInput` naming the field."""
    count = form.rows * card.features
    if form.window is not None:
        if request.raw_input_contents or is_typed(request.inputs[0]):
            field = "raw_input_contents" if request.raw_input_contents else "inputs[0].contents"
            raise InvalidInput(field, "is set, and the input is in shared memory; expected exactly one of the two")
        if form.byte_size < THREAD_BYTES:
            return window_pixels(form, form.window, card)
        return await asyncio.to_thread(window_pixels, form, form.window, card)
    if request.raw_input_contents:
        name = "raw_input_contents[0]"
        values = np.frombuffer(_raw(request, form.byte_size), form.dtype)
    else:
        name = "inputs[0].contents"
        values = _typed(request.inputs[0].contents, form.contents, count, card)
    values = values.reshape(form.rows, card.features)
    if values.dtype == np.uint8 or form.byte_size < THREAD_BYTES:
        return checked(values, card, name)
    return await asyncio.to_thread(checked, values, card, name)


def window_pixels(form: Form, window: Window, card: Card) -> NDArray[np.uint8]:
    """The pixels that lie in shared memory, as `read_pixels`."""
    values = np.empty((form.rows, card.features), form.dtype)
    window.region.read(window.offset, values, "inputs[0]")
    return checked(values, card, "inputs[0]")


def checked(values: NDArray[Any], card: Card, name: str) -> NDArray[np.uint8]:
    """uint8 or float32 [N, rows*cols] as pixels in the card's range. Raises `InvalidInput` with the field `name`."""
    pixels = values if values.dtype == np.uint8 else _whole_numbers(values, card, name)
    try:
        check_range(pixels, card)
    except PixelError as error:
        raise InvalidInput(name, str(error)) from None
    return pixels


def only_input(request: pb.ModelInferRequest) -> pb.ModelInferRequest.InferInputTensor:
    """The one input there is, `pixels` or `image`. Raises `InvalidInput`."""
    inputs = request.inputs
    if len(inputs) == 1 and inputs[0].name in (INPUT, IMAGE):
        return inputs[0]
    if not inputs:
        raise InvalidInput("inputs", f"is empty, expected one input, {INPUT} or {IMAGE}")
    for index, tensor in enumerate(inputs):
        if tensor.name not in (INPUT, IMAGE):
            raise InvalidInput(f"inputs[{index}].name", f"is {quoted(tensor.name)}, expected {INPUT} or {IMAGE}")
    first, second = inputs[0].name, inputs[1].name
    if first == second:
        raise InvalidInput("inputs[1].name", f"is {second} again, expected it once")
    raise InvalidInput("inputs[1].name", f"is {second}, and inputs[0] is {first}; expected exactly one of the two")


def _rows(shape: list[int], card: Card, max_rows: int) -> int:
    """Images in pixels of this shape: rows of pixels, pictures with or without an axis for the one channel, or one."""
    height, width = card.rows, card.cols
    if shape[1:] not in ([card.features], [height, width], [1, height, width], [height, width, 1]):
        if shape == [height, width]:
            return 1
        raise InvalidInput(
            "inputs[0].shape",
            f"is {shape}, expected [N, {card.features}] or [N, {height}, {width}] for model {card.name}, "
            f"[N, 1, {height}, {width}], [N, {height}, {width}, 1], or [{height}, {width}] for one image",
        )
    check_rows(shape, max_rows)
    return shape[0]


def check_rows(shape: list[int], max_rows: int) -> None:
    """Raise `InvalidInput` for a shape [N, …] of no or too many images."""
    if not 1 <= shape[0] <= max_rows:
        raise InvalidInput("inputs[0].shape", f"is {shape}, expected 1 to {max_rows} images in one call")


def _raw(request: pb.ModelInferRequest, size: int) -> bytes:
    if is_typed(request.inputs[0]):
        raise InvalidInput(
            "inputs[0].contents", "is set, and so is raw_input_contents; expected exactly one of the two"
        )
    if len(request.raw_input_contents) != 1:
        raise InvalidInput(
            "raw_input_contents", f"has {len(request.raw_input_contents)} entries, expected one for each input: 1"
        )
    data: bytes = request.raw_input_contents[0]
    if len(data) != size:
        tensor = request.inputs[0]
        raise InvalidInput(
            "raw_input_contents[0]",
            f"has {len(data)} bytes, expected {size} for {tensor.datatype} {list(tensor.shape)}",
        )
    return data


def _typed(contents: pb.InferTensorContents, field: str, count: int, card: Card) -> NDArray[Any]:
    others = [each.name for each, _ in contents.ListFields() if each.name != field]
    if others:
        raise InvalidInput(f"inputs[0].contents.{others[0]}", f"is set, expected the values in {field}")
    values = getattr(contents, field)
    if len(values) != count:
        also = "" if values else ", and raw_input_contents is empty as well"
        raise InvalidInput(f"inputs[0].contents.{field}", f"has {len(values)} values, expected {count}{also}")
    if field == "fp32_contents":
        return np.array(values, np.float32)
    array = np.array(values, np.uint32)
    if int(array.max()) > card.pixel_max:
        raise InvalidInput(
            f"inputs[0].contents.{field}",
            f"has a pixel of {int(array.max())}, expected 0..{card.pixel_max} for model {card.name}",
        )
    return array.astype(np.uint8)


def _whole_numbers(values: NDArray[np.float32], card: Card, name: str) -> NDArray[np.uint8]:
    """FP32 pixels as the model wants them."""
    with np.errstate(invalid="ignore"):  # whatever NaN or 1e9 becomes, it does not equal what it was
        pixels = values.astype(np.uint8)
    same = pixels == values
    if not same.all():
        row, column = (int(index) for index in np.argwhere(~same)[0])
        raise InvalidInput(
            name,
            f"image {row} has a pixel of {values[row, column]:g}; model {card.name} wants raw pixels, "
            f"whole numbers in 0..{card.pixel_max}, best as UINT8: it scales them itself",
        )
    return pixels
