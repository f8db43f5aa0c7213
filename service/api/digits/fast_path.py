"""Classify for what nearly every call looks like: raw pixels of one model, no activations.

It works as `service.api.open_inference.fast_path` does; the predictions of all callers of a batch are written at once.
"""

from asyncio import Future
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.wire import NO_REQUEST_YET, LastRequest, length_delimited, split_message, tag, varint

from engine.models.batcher import BatchSlice
from engine.models.repository import Repository
from engine.models.version import Version
from service.api.cache import MAX_TEMPLATE_BYTES, BatchCache, Names, TemplateCache
from service.api.digits.models import identity
from service.api.digits.predictions import Layout, write_response, write_with_candidates
from service.api.method import Context
from service.api.open_inference.inputs import checked

CLASSIFY = "/digits.v1.DigitsService/Classify"

_PIXELS = tag(pb.ClassifyRequest.PIXELS_FIELD_NUMBER)
_TIMINGS = pb.ClassifyResponse.TIMINGS_FIELD_NUMBER
_ENCODED = "predictions"


@dataclass(frozen=True, slots=True)
class ResponseTemplate:
    """How the answers of one version are written."""

    layout: Layout
    """Without candidates."""
    identity: bytes
    """The serialized field `model`."""
    layouts: tuple[Layout, ...]
    """With 0, 1, … candidates; empty for a model that has no thresholds."""


class ClassifyFastPath:
    """The fast path of Classify."""

    def __init__(self, repository: Repository, max_rows: int) -> None:
        """`max_rows` is the most images in one call."""
        self._max_rows = max_rows
        self._last = NO_REQUEST_YET
        self._of_version: WeakKeyDictionary[Version, ResponseTemplate] = WeakKeyDictionary()
        self.templates = TemplateCache(repository, _read_names, self._read_template)
        self._batches: BatchCache[Any] = BatchCache()  # a list of rows with candidates, else one array of bytes

    def start(self, data: bytes, start: int, context: Context) -> Future[bytes] | None:
        """See `Method.fast_path`. Raises what `DigitsApi.classify` raises."""
        last = self._last
        if last.matches(data, start):
            key, body = last.key, start + len(last.before)
        else:
            spans = split_message(data, start, _PIXELS)
            if spans is None:
                return None
            _, _, end, body = spans
            if end - start > MAX_TEMPLATE_BYTES:
                return None
            key = data[start:end]
            self._last = LastRequest(key, data[start:body], len(data) - start)
        found = self.templates.find(key)
        if found is None:
            return None
        version, template = found
        card = version.session.card
        rows, rest = divmod(len(data) - body, card.features)
        if rest or not 1 <= rows <= self._max_rows:
            return None
        context.calls = version.statistics.calls[CLASSIFY]
        pixels = checked(np.frombuffer(data, np.uint8, offset=body).reshape(rows, card.features), card, "pixels")
        encode: Callable[[BatchSlice], bytes] = partial(self._write, version, template)
        if context.record is not None:
            encode = context.record.observed(version, rows, encode)
        return version.batcher.submit(pixels, encode, warnings=True, deadline=context.deadline)

    def _read_template(self, key: bytes, version: Version) -> ResponseTemplate | None:
        template = self._of_version.get(version)
        if template is None and (template := _template_of(version)) is not None:
            self._of_version[version] = template
        return template

    def _write(self, version: Version, template: ResponseTemplate, batch_slice: BatchSlice) -> bytes:
        """The answer of one caller."""
        batch, start, stop = batch_slice.batch, batch_slice.start, batch_slice.stop
        if batch.warnings and batch_slice.result.warnings:
            return write_response(version, batch_slice).SerializeToString()
        encoded = self._batches.of(batch)
        written = encoded.get(_ENCODED)
        if template.layouts:
            if written is None:
                written = encoded[_ENCODED] = write_with_candidates(template.layouts, batch, version.session.card)
            predictions = b"".join(written[start:stop])
        else:
            if written is None:
                written = encoded[_ENCODED] = template.layout.write(batch)
            size = len(template.layout.template)
            predictions = written[size * start : size * stop]
        timings = b"\x08%b\x10%b\x18%b" % (
            varint(batch_slice.queue_us),
            varint(batch_slice.inference_us),
            varint(batch_slice.batch_rows),
        )
        return b"".join((predictions, template.identity, length_delimited(_TIMINGS, timings)))


def _read_names(key: bytes) -> Names | None:
    """The names in a request that has nothing else beside its pixels."""
    try:
        request = pb.ClassifyRequest.FromString(key)
    except Exception:
        return None
    # Whatever else there is, in any order of fields, is for the handler.
    plain = pb.ClassifyRequest(model=request.model, version=request.version)
    return (request.model, request.version) if request == plain else None


def _template_of(version: Version) -> ResponseTemplate | None:
    """None for a model whose labels do not fit one byte each."""
    card = version.session.card
    if not all(0 <= label < 0x80 for label in card.labels):
        return None
    counts = range(len(card.classes) + 1) if card.thresholds else ()
    response = pb.ClassifyResponse(model=identity(version))
    layouts = tuple(Layout.of(card, count) for count in counts)
    return ResponseTemplate(Layout.of(card), response.SerializeToString(), layouts)
