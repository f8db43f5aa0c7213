"""ModelInfer for what nearly every call looks like: raw pixels in, raw values out.

A client sends the same request again and again, but for the pixels. Everything else is read once, by the code that
reads any request, and remembered as a template. From then on a call is a look-up, one array over the bytes that came
in, and one joining of bytes that go out: no message is made, and the pixels are not copied. Requests that do not
qualify, wrong ones included, are left to `InferApi`.
"""

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from digits_protocol.inference import open_inference_pb2 as pb
from digits_protocol.wire import NO_REQUEST_YET, LastRequest, length_delimited, split_message, tag, varint

from artifact.names import INPUT
from engine.errors import ServiceError
from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.models.version import Version
from engine.shared_memory import SharedMemory
from service.api.cache import MAX_TEMPLATE_BYTES, BatchCache, Names, TemplateCache
from service.api.method import Context
from service.api.open_inference.infer import INFER
from service.api.open_inference.inputs import (
    THREAD_BYTES,
    Form,
    checked,
    is_typed,
    only_input,
    read_form,
    window_pixels,
)
from service.api.open_inference.outputs import Output, Plan, read_plan, write_outputs
from service.api.open_inference.terms import end_in_time, hasten, read_timeout

_ID, _RAW_INPUT = tag(pb.ModelInferRequest.ID_FIELD_NUMBER), tag(pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER)
_PARAMETERS = pb.ModelInferResponse.PARAMETERS_FIELD_NUMBER
_RAW_OUTPUT = bytes([tag(pb.ModelInferResponse.RAW_OUTPUT_CONTENTS_FIELD_NUMBER)])


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """What was read of a request without its id and pixels, and what every answer to it begins with."""

    form: Form
    plan: Plan
    hidden: bool
    timeout: float | None
    """How long a call may take, in seconds; None for no limit."""
    written: bytes
    """The part of the answer that does not change: a serialized ModelInferResponse, or JSON."""


class InferFastPath:
    """The fast path of ModelInfer."""

    def __init__(self, repository: Repository, memory: SharedMemory, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._memory = memory
        self._max_rows = max_rows
        self._last = NO_REQUEST_YET
        self.templates = TemplateCache(repository, _read_names, self._read_template)
        self._batches: BatchCache[bytes] = BatchCache()
        memory.on_change.append(self.templates.clear)  # they hold regions of shared memory

    def start(self, data: bytes, start: int, context: Context) -> Future[bytes] | None:
        """See `Method.fast_path`. Raises what `InferApi.model_infer` raises."""
        last = self._last
        if last.matches(data, start):
            key, id_field, body = last.key, b"", start + len(last.before)
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
                self._last = LastRequest(key, data[start:body], len(data) - start)
        found = self.templates.find(key)
        if found is None:
            return None
        version, template = found
        return submit(version, template, data, body, context, partial(self._write, template, id_field))

    def _read_template(self, key: bytes, version: Version) -> RequestTemplate | None:
        request = pb.ModelInferRequest.FromString(key)
        return read_template(request, version, self._max_rows, self._memory, pb.ModelInferResponse.SerializeToString)

    def _write(self, template: RequestTemplate, id_field: bytes, batch_slice: BatchSlice) -> bytes:
        """The answer of one caller; outputs in shared memory are written there."""
        encoded = self._batches.of(batch_slice.batch)
        counts = encoded.get("counts")
        if counts is None:
            counts = _INFERENCE_US.write(batch_slice.inference_us) + _BATCH_ROWS.write(batch_slice.batch_rows)
            encoded["counts"] = counts
        parts = [template.written, id_field, _QUEUE_US.write(batch_slice.queue_us), counts]
        for index, output in enumerate(template.plan.outputs):
            window = output.window
            if window is not None:
                window.region.write(window.offset, output.of(batch_slice.result), f"outputs[{index}]")
                parts += (_RAW_OUTPUT, b"\0")  # so that the others stay at their places
                continue
            raw = cut_rows(encoded, output, batch_slice)
            parts += (_RAW_OUTPUT, varint(len(raw)), raw)
        return b"".join(parts)


def submit(
    version: Version,
    template: RequestTemplate,
    data: bytes,
    body: int,
    context: Context,
    encode: Callable[[BatchSlice], bytes],
) -> Future[bytes] | None:
    """Queue the pixels that begin at data[body], which are not copied; None if they are not as many as they should be.

    Raises what `InferApi.model_infer` raises.
    """
    form = template.form
    if len(data) - body != (form.byte_size if form.window is None else 0):
        return None
    context.calls = version.statistics.calls[INFER]
    hasten(context, template.timeout)
    card = version.session.card
    if form.window is None:
        values = np.frombuffer(data, form.dtype, offset=body).reshape(form.rows, card.features)
        pixels = checked(values, card, "raw_input_contents[0]")
    else:
        pixels = window_pixels(form, form.window, card)
    future = version.batcher.submit(pixels, encode, hidden=template.hidden, deadline=context.deadline)
    end_in_time(future, context, template.timeout)
    return future


def read_template(
    request: pb.ModelInferRequest,
    version: Version,
    max_rows: int,
    memory: SharedMemory,
    write: Callable[[pb.ModelInferResponse], bytes],
) -> RequestTemplate | None:
    """What is remembered of a request; None if it is not for the fast path.

    `write` gives the part of the answer that does not change.
    """
    card = version.session.card
    try:
        if only_input(request).name != INPUT:
            return None
        plan = read_plan(request, card, memory)
        form = read_form(request, card, max_rows, memory)
        timeout = read_timeout(request.parameters)
        if plan.windows:
            plan.check_windows(card, form.rows)
    except ServiceError:
        return None
    texts = plan.warnings or any(output.classes for output in plan.outputs)
    written = sum(output.window.byte_size for output in plan.outputs if output.window is not None)
    if texts or is_typed(request.inputs[0]) or max(form.byte_size, written) >= THREAD_BYTES:
        return None
    response = pb.ModelInferResponse(model_name=version.name, model_version=version.version)
    response.parameters["sha256"].string_param = version.session.sha256
    write_outputs(response, plan, card, form.rows)
    return RequestTemplate(form, plan, plan.hidden, timeout, write(response))


def cut_rows(encoded: dict[str, bytes], output: Output, batch_slice: BatchSlice) -> bytes:
    """The raw values of an output for one caller; `encoded` keeps those of all callers of the batch."""
    raw = encoded.get(output.name)
    if raw is None:
        raw = encoded[output.name] = output.of(batch_slice.batch).tobytes()
    size = len(raw) // batch_slice.batch_rows
    return raw[size * batch_slice.start : size * batch_slice.stop]


def _read_names(key: bytes) -> Names | None:
    try:
        request = pb.ModelInferRequest.FromString(key)
    except Exception:
        return None
    return request.model_name, request.model_version


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
