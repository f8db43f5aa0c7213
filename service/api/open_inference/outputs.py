"""The outputs that a ModelInfer request wants, and how its answer is written."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from digits_protocol.inference import open_inference_pb2 as pb
from numpy.typing import NDArray

from artifact.card import Card
from artifact.names import LABEL, NOT_A_DIGIT, SCORES, main_outputs
from engine.errors import InvalidInput, listed, quoted
from engine.models.batcher import BatchSlice
from engine.models.session import InferenceResult
from engine.models.version import Version
from engine.shared_memory import SharedMemory
from imaging.pixels import ImageWarning
from service.api.open_inference.inputs import Window, find_window, is_typed, only_input, whole

Values = NDArray[np.int64] | NDArray[np.float32]
Warnings = Sequence[tuple[int, ImageWarning]]
"""(row, warning)"""

WARNINGS = "warnings"
"""The codes of each image's warnings, joined by commas; not of the graph, and only given when asked for by name."""


# Clients of Triton may ask for one twice; a message has room for a million, which would hold up all other calls.
MAX_OUTPUTS = 1000


@dataclass(frozen=True, slots=True)
class Output:
    """One output that is wanted."""

    name: str
    layer: int = -1
    """Which hidden layer, from 0; -1 for all else."""
    classes: int = 0
    """How many of the greatest values to name instead of giving all; 0: give all."""
    window: Window | None = None
    """Where to write it instead of sending it."""

    def of(self, result: InferenceResult) -> Values:
        """Its values: int64 [N] or float32 [N, width]."""
        if self.layer >= 0:
            return result.hidden[self.layer]
        if self.name == NOT_A_DIGIT:
            assert result.not_a_digit is not None  # asked for only where the card has it
            return result.not_a_digit
        return result.labels if self.name == LABEL else result.scores

    def shape(self, card: Card, rows: int) -> tuple[int, ...]:
        """Of its values for `rows` images: (rows,) or (rows, width)."""
        if self.layer >= 0:
            return rows, card.hidden_widths[self.layer]
        return (rows, len(card.classes)) if self.name == SCORES else (rows,)


@dataclass(frozen=True, slots=True)
class Plan:
    """All that is wanted, in order."""

    outputs: tuple[Output, ...]
    typed: bool
    """Whether values are sent one by one and not as raw bytes."""

    @property
    def hidden(self) -> bool:
        """Whether hidden layers are among them."""
        return any(output.layer >= 0 for output in self.outputs)

    @property
    def warnings(self) -> bool:
        """Whether the codes of warnings are among them."""
        return any(output.name == WARNINGS for output in self.outputs)

    @property
    def windows(self) -> tuple[Output, ...]:
        """Those that are to be written to shared memory."""
        return tuple(output for output in self.outputs if output.window is not None)

    def check_windows(self, card: Card, rows: int) -> None:
        """Raise `InvalidInput` when an output of `rows` images does not fit where it is to be written."""
        for index, output in enumerate(self.outputs):
            if output.window is None:
                continue
            size = math.prod(output.shape(card, rows)) * (8 if output.name == LABEL else 4)
            if output.window.byte_size < size:
                raise InvalidInput(
                    f"outputs[{index}].parameters[shared_memory_byte_size]",
                    f"is {output.window.byte_size}, and {output.name} of {rows} images needs {size}",
                )


_DEFAULT = (Output(LABEL), Output(SCORES))
PLAIN = Plan(_DEFAULT, typed=False)
"""What most requests want: raw label and scores."""


def read_plan(request: pb.ModelInferRequest, card: Card, memory: SharedMemory) -> Plan:
    """What a request wants; label and scores when it names nothing. Raises `InvalidInput` naming the field."""
    typed = is_typed(only_input(request))
    if not request.outputs:
        return Plan(_DEFAULT, typed) if typed else PLAIN
    if len(request.outputs) > MAX_OUTPUTS:
        raise InvalidInput("outputs", f"has {len(request.outputs)} entries, expected at most {MAX_OUTPUTS}")
    plain = main_outputs(card)
    names = (*plain, *card.hidden_names, WARNINGS)
    outputs: list[Output] = []
    for index, wanted in enumerate(request.outputs):
        field = f"outputs[{index}]"
        if wanted.name not in names:
            raise InvalidInput(f"{field}.name", f"is {quoted(wanted.name)}, expected one of {listed(names)}")
        layer = card.hidden_names.index(wanted.name) if wanted.name in card.hidden_names else -1
        classes = _classes(wanted.parameters, wanted.name, field)
        window = find_window(wanted.parameters, memory, field)
        if classes and window is not None:
            raise InvalidInput(f"{field}.parameters[classification]", "is set, and classes do not go to shared memory")
        if wanted.name == WARNINGS and window is not None:
            raise InvalidInput(f"{field}.parameters", "are of shared memory, and warnings do not go there")
        output = Output(wanted.name, layer, classes, window)
        if output in outputs:
            continue  # clients of Triton may ask twice, and get one
        if any(output.name == each.name for each in outputs):
            raise InvalidInput(f"{field}.name", f"is {output.name} again with other parameters, expected it once")
        outputs.append(output)
    return Plan(tuple(outputs), typed)


def _classes(parameters: Mapping[str, pb.InferParameter], name: str, field: str) -> int:
    if not parameters or "classification" not in parameters:
        return 0
    count = whole(parameters["classification"])
    if count is None or count < 1:
        got = "no int64_param" if count is None else count
        raise InvalidInput(f"{field}.parameters[classification]", f"is {got}, expected an integer of at least 1")
    if name in (LABEL, NOT_A_DIGIT, WARNINGS):
        raise InvalidInput(f"{field}.parameters[classification]", f"is set, and {name} holds nothing to rank")
    return count


def write_response(
    version: Version, plan: Plan, id_: str, answer: BatchSlice, warnings: Warnings = ()
) -> pb.ModelInferResponse:
    """The answer; outputs in shared memory must be written by the caller.

    `warnings` are about pictures, before they became pixels.
    """
    response = pb.ModelInferResponse()
    response.model_name = version.name
    response.model_version = version.version
    if id_:
        response.id = id_
    parameters = response.parameters
    parameters["queue_us"].int64_param = answer.queue_us
    parameters["inference_us"].int64_param = answer.inference_us
    parameters["batch_rows"].int64_param = answer.batch_rows
    parameters["sha256"].string_param = version.session.sha256
    card, result = version.session.card, answer.result
    write_outputs(response, plan, card, len(result.labels))
    for output, tensor in zip(plan.outputs, response.outputs, strict=True):
        if output.name == WARNINGS:
            _write_bytes(response, tensor, _codes(result, warnings), plan.typed)
            continue
        values = output.of(result)
        if output.classes:
            _write_classes(response, tensor, values, output, card, plan.typed)
        elif output.window is not None:
            if not plan.typed:
                response.raw_output_contents.append(b"")  # so that the others stay at their places
        elif not plan.typed:
            response.raw_output_contents.append(values.tobytes())
        elif output.name == LABEL:
            tensor.contents.int64_contents.extend(values.tolist())
        else:
            tensor.contents.fp32_contents.extend(values.ravel().tolist())
    return response


def write_outputs(response: pb.ModelInferResponse, plan: Plan, card: Card, rows: int) -> None:
    """Add what is wanted for `rows` images, without the values; of those that name classes the name alone."""
    for output in plan.outputs:
        tensor = response.outputs.add()
        tensor.name = output.name
        if output.classes:
            continue
        tensor.datatype = {LABEL: "INT64", WARNINGS: "BYTES"}.get(output.name, "FP32")
        tensor.shape.extend(output.shape(card, rows))
        if output.window is not None:
            given = tensor.parameters
            given["shared_memory_region"].string_param = output.window.region.name
            given["shared_memory_byte_size"].int64_param = math.prod(tensor.shape) * (8 if output.name == LABEL else 4)
            if output.window.offset:
                given["shared_memory_offset"].int64_param = output.window.offset


def _write_classes(
    response: pb.ModelInferResponse,
    tensor: pb.ModelInferResponse.InferOutputTensor,
    values: Values,
    output: Output,
    card: Card,
    typed: bool,
) -> None:
    """The greatest values of each image as `value:index:class`, greatest first, BYTES [N, k]."""
    names = [f":{name}" for name in card.classes] if output.name == SCORES else [""] * values.shape[1]
    places = np.argsort(-values, axis=1, kind="stable")[:, : output.classes]
    texts = [
        f"{value:f}:{place}{names[place]}".encode()
        for row, order in zip(values.tolist(), places.tolist(), strict=True)
        for place, value in ((place, row[place]) for place in order)
    ]
    tensor.datatype = "BYTES"
    tensor.shape.extend(places.shape)
    _write_bytes(response, tensor, texts, typed)


def _codes(result: InferenceResult, warnings: Warnings) -> list[bytes]:
    """The codes of the warnings about each image."""
    codes: list[list[str]] = [[] for _ in range(len(result.labels))]
    for row, warning in dict.fromkeys((*warnings, *result.warnings)):
        codes[row].append(warning.code)
    return [",".join(each).encode() for each in codes]


def _write_bytes(
    response: pb.ModelInferResponse,
    tensor: pb.ModelInferResponse.InferOutputTensor,
    texts: list[bytes],
    typed: bool,
) -> None:
    """The texts of a tensor BYTES; raw, each behind its length."""
    if typed:
        tensor.contents.bytes_contents.extend(texts)
    else:
        response.raw_output_contents.append(b"".join(len(text).to_bytes(4, "little") + text for text in texts))
