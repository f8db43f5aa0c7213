"""JSON and binary tensors of a request become the message of its RPC."""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from digits_protocol.inference import model_repository_pb2 as repository_pb
from digits_protocol.inference import open_inference_pb2 as pb
from digits_protocol.inference import shared_memory_pb2 as memory_pb
from google.protobuf.message import Message

from engine.errors import WORD, InvalidInput, quoted
from service.api.base64_text import check_base64, kind_of
from service.api.json_limits import check_size, reason
from service.api.open_inference.inputs import DTYPES, IMAGE, MAX_DIMENSIONS
from service.api.open_inference.pictures import LENGTH_BYTES

Object = dict[str, Any]
PathFields = Mapping[str, Any]
"""Fields of a request that stand in its path, all of them text."""

# Of JSON that holds no pixels.
MAX_VALUES = 100_000
_INT64, _UINT64 = range(-(2**63), 2**63), range(2**63, 2**64)
# Parameters that say how values are sent: they are for this module, and no RPC knows them.
BINARY_SIZE, BINARY, ALL_BINARY = "binary_data_size", "binary_data", "binary_data_output"


def read_object(text: bytes, max_values: int = MAX_VALUES) -> Object:
    """A JSON object of at most about `max_values` values; nothing at all is an empty one. Raises `InvalidInput`."""
    if not text.strip():
        return {}
    check_size("body", text, max_values)
    try:
        found = json.loads(text.decode(), object_pairs_hook=_fields, parse_constant=_refuse_constant)
    except RecursionError:
        raise InvalidInput("body", "is JSON nested too deeply") from None
    except UnicodeDecodeError:
        raise InvalidInput("body", "is no UTF-8, and tensors in binary need the header field "
                           "Inference-Header-Content-Length") from None  # fmt: skip
    except ValueError as error:
        raise InvalidInput("body", f"is no JSON: {reason(error)}") from None
    if not isinstance(found, dict):
        raise InvalidInput("body", f"is {kind_of(found)}, expected an object")
    return found


def _fields(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{quoted(next(name for name in names if names.count(name) > 1))} is there twice")
    return found


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is no number of JSON")


@dataclass(frozen=True, slots=True)
class InferRequest:
    """A request of ModelInfer, and how its outputs are to be sent."""

    message: pb.ModelInferRequest
    binary: Mapping[str, bool]
    """By the name of an output: whether its values follow the JSON as bytes."""
    all_binary: bool
    """The same for outputs that name nothing of it."""

    def is_binary(self, output: str) -> bool:
        """Whether the values of an output follow the JSON as bytes."""
        return self.binary.get(output, self.all_binary)


def read_infer(path: PathFields, found: Object, binary: memoryview) -> InferRequest:
    """The request in a JSON object and the `binary` tensors that came behind it.

    `path` holds the fields that stand in the path. All values become raw contents. Raises `InvalidInput` naming the
    field.
    """
    message = pb.ModelInferRequest(**path)
    message.id = _take(found, "id", str, "")
    parameters = _take(found, "parameters", dict, {})
    all_binary = _truth(parameters.pop(ALL_BINARY, False), f"parameters[{ALL_BINARY}]")
    _write_parameters(message.parameters, parameters, "parameters")
    at = 0
    for index, each in enumerate(_take(found, "inputs", list, [])):
        at = _read_input(message, _object(each, f"inputs[{index}]"), f"inputs[{index}]", binary, at)
    if at != len(binary):
        raise InvalidInput("body", f"has {len(binary)} bytes of tensors, and the inputs name {at} by {BINARY_SIZE}")
    ways: dict[str, bool] = {}
    for index, each in enumerate(_take(found, "outputs", list, [])):
        field = f"outputs[{index}]"
        output = message.outputs.add(name=_take(_object(each, field), "name", str, "", field))
        parameters = dict(_take(each, "parameters", dict, {}, field))
        if (way := parameters.pop(BINARY, None)) is not None:
            ways[output.name] = _truth(way, f"{field}.parameters[{BINARY}]")
        _write_parameters(output.parameters, parameters, f"{field}.parameters")
    return InferRequest(message, ways, all_binary)


def raw_request(path: PathFields, features: int, data: memoryview) -> InferRequest:
    """The request whose whole body is the pixels of some images, one byte each. All its outputs are binary."""
    rows = len(data) // features
    message = pb.ModelInferRequest(**path)
    message.inputs.add(name="pixels", datatype="UINT8", shape=[rows, features])
    message.raw_input_contents.append(bytes(data))
    return InferRequest(message, {}, all_binary=True)


def _read_input(message: pb.ModelInferRequest, found: Object, field: str, binary: memoryview, at: int) -> int:
    """Add an input; returns where in `binary` the next one begins."""
    name, datatype = (_take(found, key, str, "", field) for key in ("name", "datatype"))
    shape = _take(found, "shape", list, [], field)
    if not all(type(size) is int and size in _INT64 for size in shape):
        raise InvalidInput(f"{field}.shape", "holds something else than whole numbers of 64 bits")
    tensor = message.inputs.add(name=name, datatype=datatype, shape=shape)
    parameters = dict(_take(found, "parameters", dict, {}, field))
    size = parameters.pop(BINARY_SIZE, None)
    _write_parameters(tensor.parameters, parameters, f"{field}.parameters")
    data = found.get("data")
    ways = [data is not None, size is not None, "shared_memory_region" in parameters]
    if sum(ways) != 1:
        raise InvalidInput(
            field,
            f"has its values {sum(ways)} times, expected them once: in data, as bytes behind the JSON by the parameter "
            f"{BINARY_SIZE}, or in shared memory",
        )
    if data is not None:
        message.raw_input_contents.append(_raw(data, name, datatype, shape, f"{field}.data"))
    elif size is not None:
        if type(size) is not int or not 0 <= size <= len(binary) - at:
            raise InvalidInput(
                f"{field}.parameters[{BINARY_SIZE}]",
                f"is {json.dumps(size)[:WORD]}, and {len(binary) - at} bytes are left behind the JSON",
            )
        message.raw_input_contents.append(bytes(binary[at : at + size]))
        return at + size
    return at


def _raw(data: Any, name: str, datatype: str, shape: list[int], field: str) -> bytes:
    """Values of JSON, nested or flat, as raw contents."""
    values = _flat(data, field)
    if datatype == "BYTES":
        texts = [_bytes(value, f"{field}[{index}]", name == IMAGE) for index, value in enumerate(values)]
        return b"".join(len(text).to_bytes(LENGTH_BYTES, "little") + text for text in texts)
    if datatype not in DTYPES or len(shape) > MAX_DIMENSIONS:  # which the RPC refuses, and says what there is
        return b""
    if len(values) != (count := math.prod(shape)):
        raise InvalidInput(field, f"has {len(values)} values, expected {count} by its shape")
    dtype, _ = DTYPES[datatype]
    kinds = {int} if datatype == "UINT8" else {int, float}
    try:
        if not set(map(type, values)) <= kinds:
            raise ValueError
        array = np.array(values, np.int64 if datatype == "UINT8" else np.float64)
    except (ValueError, OverflowError):
        raise InvalidInput(field, f"holds something else than numbers of {datatype}") from None
    if datatype == "UINT8" and array.size and not 0 <= array.min() <= array.max() <= 255:
        wrong = array.max() if array.max() > 255 else array.min()
        raise InvalidInput(field, f"holds {wrong}, expected whole numbers in 0..255")
    with np.errstate(over="ignore"):  # infinite then, which the RPC refuses
        return array.astype(dtype).tobytes()


def _flat(data: Any, field: str) -> list[Any]:
    """The innermost values of nested lists, in their order."""
    if not isinstance(data, list):
        raise InvalidInput(field, f"is {kind_of(data)}, expected a list")
    while data and isinstance(data[0], list):
        if set(map(type, data)) != {list}:
            raise InvalidInput(field, "holds lists and other values side by side")
        data = list(chain.from_iterable(data))
    values: list[Any] = data
    return values


def _bytes(value: Any, field: str, is_file: bool) -> bytes:
    """An element of a tensor BYTES: a file in Base64, else text as it is."""
    if is_file:
        text = check_base64(field, value).replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(text + "=" * (-len(text) % 4))
    if not isinstance(value, str):
        raise InvalidInput(field, f"is {kind_of(value)}, expected text")
    return value.encode(errors="replace")


def _write_parameters(into: Any, found: Object, field: str) -> None:
    """Parameters of JSON as those of the RPC: truth values, whole numbers, numbers and texts."""
    for key, value in found.items():
        try:
            into[key].SetInParent()
            if isinstance(value, bool):
                into[key].bool_param = value
            elif isinstance(value, int) and value in _INT64:
                into[key].int64_param = value
            elif isinstance(value, int) and value in _UINT64:
                into[key].uint64_param = value
            elif isinstance(value, float):
                into[key].double_param = value
            elif isinstance(value, str):
                into[key].string_param = value
            else:
                raise ValueError
        except (
            ValueError,
            AttributeError,
        ):  # text that is half of a surrogate pair, or what the RPC's have no kind for
            name = key[:64].encode(errors="replace").decode()
            raise InvalidInput(f"{field}[{name}]", f"is {kind_of(value)} that no parameter can be") from None


# Those of the other RPCs that say something in their bodies.
_WITH_BODY = (
    repository_pb.RepositoryIndexRequest,
    repository_pb.RepositoryModelLoadRequest,
    repository_pb.RepositoryModelUnloadRequest,
    memory_pb.SystemSharedMemoryRegisterRequest,
)


def read_other(path: PathFields, kind: type[Message], body: bytes) -> Any:
    """The request of any other RPC, whose fields stand in the path and in a JSON object. Raises `InvalidInput`."""
    message: Any = kind(**path)
    if kind not in _WITH_BODY:
        return message
    found = read_object(body)
    for field in kind.DESCRIPTOR.fields:
        value = found.get(field.name)
        if value is None or field.name in path:
            continue
        if field.name == "parameters":
            _write_parameters(message.parameters, _take(found, "parameters", dict, {}), "parameters")
            continue
        try:
            if isinstance(value, bool) != (field.type == field.TYPE_BOOL):
                raise TypeError
            setattr(message, field.name, value)
        except (TypeError, ValueError, AttributeError):
            raise InvalidInput(field.name, f"is {kind_of(value)} that this field cannot be") from None
    return message


def _take(found: Object, key: str, kind: type[Any], default: Any, within: str = "") -> Any:
    """The value of `key`, which is of that kind; null is none. Raises `InvalidInput`."""
    value = found.get(key)
    if value is None:
        return default
    if not isinstance(value, kind):
        wanted = kind_of(kind())
        raise InvalidInput(f"{within}.{key}" if within else key, f"is {kind_of(value)}, expected {wanted}")
    if kind is str:
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{within}.{key}" if within else key, "holds half of a surrogate pair") from None
    return value


def _object(value: Any, field: str) -> Object:
    if not isinstance(value, dict):
        raise InvalidInput(field, f"is {kind_of(value)}, expected an object")
    return value


def _truth(value: Any, field: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(field, f"is {kind_of(value)}, expected true or false")
    return value
