"""The input `image` of a ModelInfer request: pictures in PNG, JPEG and so on, each an element of a tensor BYTES [N]."""

from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import InvalidInput, quoted
from service.api.open_inference.inputs import IMAGE, MAX_DIMENSIONS, check_rows, is_typed, only_input

# Bytes of the length that stands before each element of a raw tensor BYTES.
LENGTH_BYTES = 4


def read_pictures(request: pb.ModelInferRequest, max_rows: int) -> list[bytes]:
    """The files in the input `image`, 1..max_rows. Raises `InvalidInput` naming the field."""
    tensor = only_input(request)
    if tensor.datatype != "BYTES":
        raise InvalidInput(
            "inputs[0].datatype", f"is {quoted(tensor.datatype)}, expected BYTES, one picture an element"
        )
    shape = list(tensor.shape[: MAX_DIMENSIONS + 1])
    if len(shape) not in (1, 2) or shape[1:] not in ([], [1]):
        raise InvalidInput("inputs[0].shape", f"is {shape}, expected [N]")
    check_rows(shape, max_rows)
    if "shared_memory_region" in tensor.parameters:
        raise InvalidInput("inputs[0].parameters[shared_memory_region]", f"is set, and {IMAGE} does not come that way")
    entries = len(request.raw_input_contents)
    if entries + is_typed(tensor) != 1:
        raise InvalidInput(
            "inputs[0].contents",
            f"{'is' if is_typed(tensor) else 'is not'} set, and raw_input_contents has {entries} entries; "
            "expected exactly one of the two, one entry of the latter",
        )
    if entries:
        pictures = split_elements(request.raw_input_contents[0], shape[0], "raw_input_contents[0]")
    else:
        others = [each.name for each, _ in tensor.contents.ListFields() if each.name != "bytes_contents"]
        if others:
            raise InvalidInput(f"inputs[0].contents.{others[0]}", "is set, expected the pictures in bytes_contents")
        pictures = list(tensor.contents.bytes_contents)
        if len(pictures) != shape[0]:
            raise InvalidInput(
                "inputs[0].contents.bytes_contents", f"has {len(pictures)} elements, expected {shape[0]}"
            )
    return pictures


def split_elements(data: bytes, count: int, field: str) -> list[bytes]:
    """The `count` elements of a raw tensor BYTES, each behind its length. Raises `InvalidInput` with `field`."""
    elements: list[bytes] = []
    at = 0
    while at < len(data) and len(elements) < count:
        begin = at + LENGTH_BYTES
        at = begin + int.from_bytes(data[at:begin], "little")
        if at > len(data) or begin > len(data):
            raise InvalidInput(field, f"ends within element {len(elements)} of {count}")
        elements.append(data[begin:at])
    if len(elements) != count or at != len(data):
        raise InvalidInput(
            field,
            f"has {len(data)} bytes, of which {len(elements)} elements take {at}; expected {count} elements, each "
            "behind its length in 4 bytes, lowest first",
        )
    return elements
