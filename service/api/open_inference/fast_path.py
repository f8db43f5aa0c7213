"""ModelInfer for what nearly every call looks like: raw pixels in, raw values out.

A client sends the same head again and again, everything but the pixels; it is read once, by the code that
reads any request, and remembered. From then on a call is a look-up, one array over the bytes that came in, and
one joining of bytes that go out: no message is made, and the pixels are not copied. Whatever is not quick,
errors included, is left to `InferApi`.
"""

from asyncio import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
from digits_protocol.inference import open_inference_pb2 as pb
from digits_protocol.wire import NO_REQUEST_YET, LastRequest, length_delimited, split_message, tag, varint

from engine.batcher import Answer
from engine.errors import ServiceError
from engine.repository import Repository
from engine.shared_memory import SharedMemory
from engine.version import Version
from service.api.method import Call
from service.api.open_inference.infer import INFER
from service.api.open_inference.inputs import THREAD_BYTES, Form, checked, is_typed, read_form, window_pixels
from service.api.open_inference.outputs import Plan, read_plan, write_outputs
from service.api.open_inference.terms import end_in_time, hasten, read_timeout

_ID, _RAW_INPUT = tag(pb.ModelInferRequest.ID_FIELD_NUMBER), tag(pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER)
_PARAMETERS = pb.ModelInferResponse.PARAMETERS_FIELD_NUMBER
_RAW_OUTPUT = bytes([tag(pb.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER)])

# A longer head is a rare one, and more of them than these do not come from well-meaning clients.
MAX_TEMPLATE_BYTES = 1024
MAX_TEMPLATES = 1024


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """What was read of a head, and what every answer to it begins with."""

    form: Form
    plan: Plan
    hidden: bool
    timeout: float | None
    """How long a call may take, in seconds; None for as long as it likes."""
    written: bytes
    """The part of the answer that does not change: a serialized ModelInferResponse."""


class InferFastPath:
    """The quick form of ModelInfer."""

    def __init__(self, repository: Repository, memory: SharedMemory, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._repository = repository
        self._memory = memory
        self._max_rows = max_rows
        self._names: dict[bytes, tuple[str, str]] = {}
        self._recent = NO_REQUEST_YET
        memory.on_change = self._forget_templates

    def answer(self, data: bytes, start: int, call: Call) -> Future[bytes] | None:
        """A future of the serialized answer to the serialized request from `start` on, or None when it is not quick.

        Raises what `InferApi.model_infer` raises.
        """
        recent = self._recent
        if recent.begins(data, start):
            key, id_field, body = recent.key, b"", start + len(recent.before)
        else:
            spans = split_message(data, start, _RAW_INPUT, aside=_ID)
            if spans is None:
                return None
            begin, stop, end, body = spans
            if end - start > MAX_TEMPLATE_BYTES:
                return None
            key = data[start:begin] + data[stop:end] if stop else data[start:end]
            id_field = data[begin:stop]
            if not id_field.isascii():  # protobuf makes sure that text is UTF-8
                return None
            if not stop:
                self._recent = LastRequest(key, data[start:body], len(data) - start)
        names = self._names.get(key) or self._read_names(key)
        if names is None:
            return None
        version = self._repository.route(*names)
        if version is None:
            return None
        head = version.templates.get(key) or self._read_template(key, version)
        if head is None:
            return None
        form = head.form
        if len(data) - body != (form.byte_size if form.window is None else 0):
            return None
        call.calls = version.statistics.calls[INFER]
        hasten(call, head.timeout)
        card = version.session.card
        if form.window is None:
            values = np.frombuffer(data, form.dtype, offset=body).reshape(form.rows, card.features)
            pixels = checked(values, card, "raw_input_contents[0]")
        else:
            pixels = window_pixels(form, form.window, card)
        future = version.batcher.submit(
            pixels, partial(_write, head, id_field), hidden=head.hidden, deadline=call.deadline
        )
        end_in_time(future, call, head.timeout)
        return future

    def _read_names(self, key: bytes) -> tuple[str, str] | None:
        """The model and the version that a head names."""
        try:
            request = pb.ModelInferRequest.FromString(key)
        except Exception:
            return None
        if len(self._names) >= MAX_TEMPLATES:
            self._names.clear()
        names = self._names[key] = (request.model_name, request.model_version)
        return names

    def _read_template(self, key: bytes, version: Version) -> RequestTemplate | None:
        """Read a head that `_read_names` could read; None when a call with it is not quick."""
        request = pb.ModelInferRequest.FromString(key)
        card = version.session.card
        try:
            plan = read_plan(request, card, self._memory)
            form = read_form(request, card, self._max_rows, self._memory)
            timeout = read_timeout(request.parameters)
            if plan.windows:
                plan.check_windows(card, form.rows)
        except ServiceError:
            return None
        ranked = any(output.classes for output in plan.outputs)
        written = sum(output.window.byte_size for output in plan.outputs if output.window is not None)
        if ranked or is_typed(request.inputs[0]) or max(form.byte_size, written) >= THREAD_BYTES:
            return None
        response = pb.ModelInferResponse(model_name=version.name, model_version=version.version)
        response.parameters["sha256"].string_param = version.session.sha256
        write_outputs(response, plan, card, form.rows)
        if len(version.templates) >= MAX_TEMPLATES:
            version.templates.clear()
        head = version.templates[key] = RequestTemplate(form, plan, plan.hidden, timeout, response.SerializeToString())
        return head

    def _forget_templates(self) -> None:
        """What was remembered may hold on to regions of shared memory, or miss new ones."""
        for version in self._repository.versions():
            version.templates.clear()


def _write(head: RequestTemplate, id_field: bytes, answer: Answer) -> bytes:
    """The answer of one caller; what is wanted in shared memory is written there."""
    encoded = answer.batch.encoded
    shared = encoded.get("counts")
    if shared is None:
        shared = _INFERENCE_US.write(answer.inference_us) + _BATCH_ROWS.write(answer.batch_rows)
        encoded["counts"] = shared
    parts = [head.written, id_field, _QUEUE_US.write(answer.queue_us), shared]
    for index, output in enumerate(head.plan.outputs):
        window = output.window
        if window is not None:
            window.region.write(window.offset, output.of(answer.scored), f"outputs[{index}]")
            parts += (_RAW_OUTPUT, b"\0")  # so that the others stay at their places
            continue
        rows = answer.batch_rows
        raw = encoded.get(output.name)
        if raw is None:
            raw = encoded[output.name] = output.of(answer.batch).tobytes()
        size = len(raw) // rows
        parts += (
            _RAW_OUTPUT,
            varint(size * (answer.stop - answer.start)),
            raw[size * answer.start : size * answer.stop],
        )
    return b"".join(parts)


class _Count:
    """A parameter that is a whole number, ready to be written again and again."""

    def __init__(self, name: bytes) -> None:
        self._before = [b""]  # by the length of the varint
        for size in range(1, 11):
            value = bytes([tag(pb.InferParameter.INT64_PARAM_FIELD_NUMBER, kind=0)]) + bytes(size)
            whole = length_delimited(_PARAMETERS, length_delimited(1, name) + length_delimited(2, value))
            self._before.append(whole[:-size])

    def write(self, value: int) -> bytes:
        """The field `parameters` with it."""
        number = varint(value)
        return self._before[len(number)] + number


_QUEUE_US, _INFERENCE_US, _BATCH_ROWS = _Count(b"queue_us"), _Count(b"inference_us"), _Count(b"batch_rows")
