"""Classify for what nearly every call looks like: raw pixels of one model, no activations.

As `service.api.open_inference.fast_path`; the predictions of all callers of a batch are written at once.
"""

from asyncio import Future
from dataclasses import dataclass
from functools import partial

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.wire import NO_REQUEST_YET, LastRequest, length_delimited, split_message, tag, varint

from engine.batcher import Answer
from engine.repository import Repository
from engine.version import Version
from service.api.digits.models import identity
from service.api.digits.predictions import Layout, write_response, write_with_candidates
from service.api.method import Call
from service.api.open_inference.fast_path import MAX_TEMPLATE_BYTES, MAX_TEMPLATES
from service.api.open_inference.inputs import checked

CLASSIFY = "/digits.v1.DigitsService/Classify"

_PIXELS = tag(pb.ClassifyRequest.PIXELS_FIELD_NUMBER)
_TIMINGS = pb.ClassifyResponse.TIMINGS_FIELD_NUMBER
_ENCODED = "predictions"


@dataclass(frozen=True, slots=True)
class RequestTemplate:
    """What every answer to a head ends with, and how its predictions are written."""

    layout: Layout
    """Without candidates."""
    identity: bytes
    """The field `model`."""
    layouts: tuple[Layout, ...]
    """For 0, 1, … candidates; empty for a model that has no thresholds."""


class ClassifyFastPath:
    """The quick form of Classify."""

    def __init__(self, repository: Repository, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._repository = repository
        self._max_rows = max_rows
        self._names: dict[bytes, tuple[str, str]] = {}
        self._recent = NO_REQUEST_YET

    def answer(self, data: bytes, start: int, call: Call) -> Future[bytes] | None:
        """A future of the serialized answer to the serialized request from `start` on, or None when it is not quick.

        Raises what `DigitsApi.classify` raises.
        """
        recent = self._recent
        if recent.begins(data, start):
            key, body = recent.key, start + len(recent.before)
        else:
            spans = split_message(data, start, _PIXELS)
            if spans is None:
                return None
            _, _, end, body = spans
            if end - start > MAX_TEMPLATE_BYTES:
                return None
            key = data[start:end]
            self._recent = LastRequest(key, data[start:body], len(data) - start)
        names = self._names.get(key) or self._read_names(key)
        version = None if names is None else self._repository.route(*names)
        if version is None:
            return None
        card = version.session.card
        rows, rest = divmod(len(data) - body, card.features)
        if rest or not 1 <= rows <= self._max_rows:
            return None
        head = version.templates.get(_KEY) or _read_template(version)
        if head is None:
            return None
        call.calls = version.statistics.calls[CLASSIFY]
        pixels = checked(np.frombuffer(data, np.uint8, offset=body).reshape(rows, card.features), card, "pixels")
        return version.batcher.submit(pixels, partial(_write, version, head), warnings=True, deadline=call.deadline)

    def _read_names(self, key: bytes) -> tuple[str, str] | None:
        """The model and the version that a head names; None when it holds more."""
        try:
            request = pb.ClassifyRequest.FromString(key)
        except Exception:
            return None
        if request.encoded_images:
            return None
        if len(self._names) >= MAX_TEMPLATES:
            self._names.clear()
        names = self._names[key] = (request.model, request.version)
        return names


_KEY = b"classify"  # no head of ModelInfer: the tag of its first byte means another type


def _read_template(version: Version) -> RequestTemplate | None:
    card = version.session.card
    if not all(0 <= label < 0x80 for label in card.labels):
        return None
    counts = range(len(card.classes) + 1) if card.thresholds else ()
    response = pb.ClassifyResponse(model=identity(version))
    layouts = tuple(Layout.of(card, count) for count in counts)
    head = version.templates[_KEY] = RequestTemplate(Layout.of(card), response.SerializeToString(), layouts)
    return head


def _write(version: Version, head: RequestTemplate, answer: Answer) -> bytes:
    """The answer of one caller."""
    batch, start, stop = answer.batch, answer.start, answer.stop
    if batch.warnings and answer.scored.warnings:
        return write_response(version, answer).SerializeToString()
    written = batch.encoded.get(_ENCODED)
    if head.layouts:
        if written is None:
            written = batch.encoded[_ENCODED] = write_with_candidates(head.layouts, batch, version.session.card)
        predictions = b"".join(written[start:stop])
    else:
        if written is None:
            written = batch.encoded[_ENCODED] = head.layout.write(batch)
        size = len(head.layout.template)
        predictions = written[size * start : size * stop]
    timings = b"\x08%b\x10%b\x18%b" % (
        varint(answer.queue_us),
        varint(answer.inference_us),
        varint(answer.batch_rows),
    )
    return b"".join((predictions, head.identity, length_delimited(_TIMINGS, timings)))
