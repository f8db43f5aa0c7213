"""One version of one model in memory, checked against its card and its golden rows."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from artifact.card import CARD_KEY, Card, CardError
from artifact.golden import GoldenError
from artifact.names import INPUT, NOT_A_DIGIT, Form, inputs, main_outputs, outputs
from artifact.store import LayoutError, VersionFolder
from engine.log import log
from engine.models.providers import CPU, Provider, open_session
from engine.models.weights_cache import NO_CACHE, WeightsCache
from imaging.pixels import ImageWarning, find_warnings

# Characters of an onnxruntime error that a reason repeats.
LINE = 150

# onnxruntime's names of the types of inputs and outputs.
_TYPES = {np.uint8: "tensor(uint8)", np.int64: "tensor(int64)", np.float32: "tensor(float)"}


class ModelError(Exception):
    """The server cannot serve a version; the message says why in one sentence."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class InferenceResult:
    """The outputs of the network for N rows."""

    labels: NDArray[np.int64]
    """int64 [N], see `Card.labels`."""
    scores: NDArray[np.float32]
    """float32 [N, classes], in class order, each row sums to 1."""
    hidden: tuple[NDArray[np.float32], ...]
    """float32 [N, width] per hidden layer, in the order of `Card.hidden_names`; empty when not asked for."""
    warnings: Sequence[tuple[int, ImageWarning]] = ()
    """Warnings about unlikely pixels, as (row, warning); empty when not asked for."""
    not_a_digit: NDArray[np.float32] | None = None
    """float32 [N], the probability 0..1 that an image shows no digit; None for a model without a detector."""

    def rows(self, start: int, stop: int) -> "InferenceResult":
        """The rows start..stop-1, as views."""
        return InferenceResult(
            self.labels[start:stop],
            self.scores[start:stop],
            tuple([layer[start:stop] for layer in self.hidden]),
            [(row - start, text) for row, text in self.warnings if start <= row < stop] if self.warnings else (),
            None if self.not_a_digit is None else self.not_a_digit[start:stop],
        )


class Session:
    """A loaded model; `run` may be called from any thread."""

    def __init__(self, card: Card, sha256: str, provider: str, session: onnxruntime.InferenceSession) -> None:
        self.card = card
        self.sha256 = sha256
        """SHA-256 of the file in hexadecimal."""
        self.provider = provider
        """The execution provider actually in use."""
        self._session = session
        self._knows_digits = card.detects_outliers
        self._plain = list(main_outputs(card))
        self._with_hidden = list(outputs(card))

    def run(self, pixels: NDArray[np.uint8], *, hidden: bool = False, warnings: bool = True) -> InferenceResult:
        """Class scores of `pixels`, uint8 [N, rows*cols]; the hidden layers as well when `hidden`.

        Checking for `warnings` costs a quarter of the run itself.
        """
        names = self._with_hidden if hidden else self._plain
        labels, scores, *layers = self._session.run(names, {INPUT: pixels})
        chances = layers.pop(0) if self._knows_digits else None
        return InferenceResult(
            labels, scores, tuple(layers), find_warnings(pixels, self.card) if warnings else (), chances
        )

    def rows_within(self, seconds: float, limit: int) -> int:
        """Rows, at most `limit`, that one run scores in `seconds`; 0 if a single row takes longer.

        Measured in a few milliseconds, by the shortest of a few runs: the first run is cold, and other load during
        the start of a server must not decide how it runs its batches from then on.
        """
        ramp = np.arange(self.card.features) % (self.card.pixel_max + 1)  # ink without warnings
        rows = 1
        while rows <= limit:
            pixels = np.tile(ramp.astype(np.uint8), (rows, 1))
            if min(self._timed(pixels) for _ in range(5)) > seconds:
                break
            rows *= 2
        return min(rows // 2, limit)

    def _timed(self, pixels: NDArray[np.uint8]) -> float:
        began = time.perf_counter()
        self.run(pixels)
        return time.perf_counter() - began


def load_session(
    folder: VersionFolder, providers: Sequence[Provider], threads: int, cache: WeightsCache = NO_CACHE
) -> Session:
    """Load a version on the first of `providers` on which it reproduces its golden rows.

    A single provider has to run every node. On the CPU large weights are mapped from `cache`.
    Takes milliseconds to seconds: call it in a thread. Raises `ModelError`.
    """
    try:
        model = folder.read_onnx()
        sha256 = hashlib.sha256(model).hexdigest()
    except LayoutError as error:
        raise ModelError(str(error)) from None
    reasons = []
    for provider in providers:
        try:
            session = _open_cached(folder, model, sha256, provider, threads, cache)
            if session is None:
                session = _open(folder, model, sha256, provider, threads, alone=len(providers) == 1)
                _check_golden(session, folder)
        except ModelError as error:
            reasons.append(str(error))
            if provider is not providers[-1]:
                log.warning("provider refused", model=folder.name, version=folder.version, reason=str(error))
        else:
            return session
    raise ModelError("; ".join(dict.fromkeys(reasons)))


def _open_cached(
    folder: VersionFolder, model: bytes, sha256: str, provider: Provider, threads: int, cache: WeightsCache
) -> Session | None:
    """With its weights mapped; None if they are not in the cache, or what is there is broken, which is then removed."""
    cached = cache.find(model, sha256) if provider[0] == CPU else None
    if cached is None:
        return None
    try:
        session = _open(folder, cached, sha256, provider, threads, alone=False)
        _check_golden(session, folder)
    except ModelError as error:
        log.warning("cached weights refused", model=folder.name, version=folder.version, reason=str(error))
        cache.remove(sha256)
        return None
    return session


def _open(
    folder: VersionFolder, source: bytes | Path, sha256: str, provider: Provider, threads: int, *, alone: bool
) -> Session:
    """A session over `source`: the model whose SHA-256 is `sha256`, or a file that was derived from it."""
    try:
        session = open_session(source, provider, threads, alone=alone)
    except Exception as error:  # onnxruntime has no common base for what it raises
        raise ModelError(f"{folder.onnx} cannot be loaded on {provider[0]}: {first_line(error)}") from error
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ModelError(f"{folder.onnx} has no card: its ONNX metadata lacks the key {CARD_KEY}")
    try:
        card = Card.from_json(text)
    except CardError as error:
        raise ModelError(f"{folder.onnx}: {error}") from None
    if (card.name, card.version) != (folder.name, folder.version):
        raise ModelError(
            f"{folder.onnx} says it is {card.name} version {card.version}, "
            f"but its folder says {folder.name} version {folder.version}"
        )
    if card.variant != folder.variant:
        raise ModelError(f"{folder.onnx} says its variant is {card.variant!r}, expected {folder.variant!r}")
    _check_graph(session, card, folder)
    return Session(card, sha256, provider[0], session)


def _check_graph(session: onnxruntime.InferenceSession, card: Card, folder: VersionFolder) -> None:
    """Compare the inputs and outputs of the graph with the card."""
    _check_nodes(session.get_inputs(), inputs(card), "input", folder)
    _check_nodes(session.get_outputs(), outputs(card), "output", folder)


def _check_nodes(nodes: Sequence[Any], wanted: dict[str, Form], kind: str, folder: VersionFolder) -> None:
    found = {node.name: (node.type, node.shape) for node in nodes}
    if kind == "input" and found.keys() - wanted.keys():
        raise ModelError(f"{folder.onnx} wants the inputs {sorted(found)}, expected {sorted(wanted)} alone")
    for name, form in wanted.items():
        if name not in found:
            raise ModelError(f"{folder.onnx} has no {kind} {name}, which its card promises")
        got, shape = found[name]
        # A graph may leave widths open; a stated one must equal the card's.
        fits = len(shape) == 1 + len(form.shape) and all(
            stated == width or not isinstance(stated, int) for stated, width in zip(shape[1:], form.shape, strict=True)
        )
        if got != _TYPES[form.dtype] or not fits:
            expected = f"{_TYPES[form.dtype]}[{', '.join(map(str, ('N', *form.shape)))}]"
            raise ModelError(f"{folder.onnx}: {kind} {name} is {got}{shape}, its card says {expected}")


def _check_golden(session: Session, folder: VersionFolder) -> None:
    """Reproduce the golden rows on the device of the session, within the card's tolerance for it."""
    card = session.card
    try:
        golden = folder.read_golden()
    except GoldenError as error:
        raise ModelError(str(error)) from None
    if golden.pixels.shape[1] != card.features or golden.scores.shape[1] != len(card.classes):
        raise ModelError(
            f"{folder.golden} has rows of {golden.pixels.shape[1]} pixels and {golden.scores.shape[1]} scores, "
            f"the card says {card.features} and {len(card.classes)}"
        )
    try:
        ours = session.run(golden.pixels, hidden=True)
    except Exception as error:  # onnxruntime has no common base for what it raises
        raise ModelError(f"{folder.onnx} cannot be run on {session.provider}: {first_line(error)}") from error
    for name, width, values in zip(card.hidden_names, card.hidden_widths, ours.hidden, strict=True):
        if values.shape != (len(golden.pixels), width):
            raise ModelError(f"{folder.onnx}: {name} gives {list(values.shape)}, its card says [N, {width}]")
    if ours.scores.shape != golden.scores.shape or ours.labels.shape != golden.labels.shape:
        raise ModelError(f"{folder.onnx}: scores give {list(ours.scores.shape)}, expected {list(golden.scores.shape)}")
    tolerance = card.tolerance.get(session.provider)
    if tolerance is None:
        raise ModelError(
            f"the card of {folder.name} version {folder.version} states no tolerance for {session.provider}"
        )
    shapes = [None if each.not_a_digit is None else each.not_a_digit.shape for each in (ours, golden)]
    if card.detects_outliers and (None in shapes or shapes[0] != shapes[1]):
        raise ModelError(f"{folder.golden} and {folder.onnx} do not both have {NOT_A_DIGIT} for each row")
    difference, wrong = golden.compare(ours.labels, ours.scores, ours.not_a_digit, tolerance)
    if not difference <= tolerance or wrong:  # `not <=` so that NaN fails as well
        raise ModelError(
            f"{folder.name} version {folder.version} does not reproduce its golden rows on {session.provider}: "
            f"scores differ by {difference:.2g} where {tolerance:.2g} is allowed, "
            f"{wrong} of {len(golden.labels)} labels differ"
        )


def first_line(error: Exception) -> str:
    """The text of an onnxruntime error, cut to one sentence: it can have pages."""
    line = str(error).strip().partition("\n")[0] or type(error).__name__
    return line if len(line) <= LINE else line[:LINE] + "…"
