"""The model on a server: several connections, a call in flight on each, and patience with a server that restarts."""

import json
import queue
import random
import threading
import time
from dataclasses import dataclass
from typing import Self

import numpy as np
from digits_client import (
    DeadlineExceeded,
    DigitsClient,
    DigitsError,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    Unavailable,
)
from digits_client.channel import Deadline
from digits_client.endpoint import Endpoint
from digits_client.inference import InferenceClient, ServedModel
from numpy.typing import NDArray

from artifact.card import Card, CardError
from scoring.scorers.scorer import Model, ScorerError
from scoring.scorers.shared_region import SharedRegion, share

# Rows of one call, where the server allows so many: what a call costs is spread over them.
_CALL_ROWS = 4096
# Bytes of a request beside its pixels: names, field numbers, lengths.
_ROOM = 4096
# Pauses before an unreachable server is asked again, seconds: from the first to the longest, doubling.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# What a last call has, seconds, when patience ends in a pause: enough to be told why there is no answer.
_LAST_CALL = 0.2
# How often the same rows are refused for want of the region, before it is for something else.
_MOST_REFUSALS = 3
# Pauses are stretched by up to this part, so that callers refused together do not come back together.
_JITTER = 0.2
# Fields of the card that are text; a server tells the others as JSON.
_TEXTS = ("name", "preparation", "activation", "output_activation", "dataset", "dataset_sha256", "variant")


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """What holds from one restart of the server to the next."""

    region: SharedRegion | None
    """Shared memory that the server has open, one window for each connection."""


@dataclass(frozen=True, slots=True, eq=False)
class _Connection:
    """A connection with the place of its values in shared memory."""

    client: InferenceClient
    index: int


class RemoteScorer:
    """Sends raw uint8 pixels over the Open Inference Protocol, or by shared memory to a server on this host.

    Calls that find no server are repeated with growing pauses, those that find its queue full after the pause it
    asks for, until for `patience` seconds no call at all was answered while there was one to answer. After each
    interruption the model is compared with the one that the job began with.
    """

    def __init__(
        self,
        target: str,
        *,
        name: str = "",
        version: str = "",
        calls: int = 4,
        patience: float = 60.0,
        shared_memory: str = "",
        job: str = "",
    ) -> None:
        """Ask the server at `target` for the model; no `version`: its newest, and that one to the end.

        `shared_memory` begins the names of the objects that the server may open, see `digits serve
        --shared-memory`; empty: none is tried. `job` is what regions of this job are called, so that one that was
        killed leaves nothing behind. Raises a `DigitsError` or `ScorerError`; `ValueError` for a bad address.
        """
        self._place, self._patience = str(Endpoint(target)), patience
        self._prefix, self._job = shared_memory, job
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._closed = False
        self._link = _Session(None)
        deadline = Deadline(patience, self._place)
        with DigitsClient(target, timeout=patience) as client:
            listing = client.models()
        self._clients = [InferenceClient(target, timeout=patience) for _ in range(calls)]
        try:
            served = self._clients[0].model(name, version, deadline=deadline)
            self.model = Model(_card(served), served.sha256, served.execution_provider)
            card = self.model.card
            fitting = (listing.max_message_bytes - _ROOM) // card.features
            self.span_rows = max(min(listing.max_rows, _CALL_ROWS, fitting), 1)
            self.threads = calls
            self._link = self._connect(deadline)
        except BaseException:
            self.close()
            raise
        self._answered = time.monotonic()
        self._lanes: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        for index, each in enumerate(self._clients):
            self._lanes.put(_Connection(each, index))

    @property
    def how(self) -> str:
        """How the scores come, for people."""
        by = "shared memory" if self._link.region else "gRPC"
        return f"by {by} from {self._place}, {self.model.provider}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back what the server has open, and close the connections."""
        if self._closed:
            return
        self._closed = True
        if self._link.region is not None:
            self._link.region.close(self._clients[0])
        for client in self._clients:
            client.close()

    def stop(self) -> None:
        """Do not wait for the server any longer."""
        self._stopped.set()
        self.close()

    def score(self, pixels: NDArray[np.uint8], digits: NDArray[np.int64], scores: NDArray[np.float32]) -> None:
        """As `Scorer.score`."""
        lane = self._lanes.get()
        try:
            for start in range(0, len(pixels), self.span_rows):
                rows = slice(start, start + self.span_rows)
                self._score_patiently(lane, pixels[rows], digits[rows], scores[rows])
        finally:
            self._lanes.put(lane)

    def _score_patiently(
        self, lane: _Connection, pixels: NDArray[np.uint8], digits: NDArray[np.int64], scores: NDArray[np.float32]
    ) -> None:
        began = time.monotonic()
        pause = _FIRST_PAUSE
        broken: _Session | None = None
        refused = 0
        while True:
            link = self._link
            deadline = Deadline(max(self._left(began), _LAST_CALL), self._place)
            try:
                if broken is not None:
                    self._reconnect(lane, broken, deadline)
                    broken, link = None, self._link
                sha256 = self._score_once(lane, link, pixels, digits, scores, deadline)
            except Overloaded as error:
                self._be_patient(began, error)
                wait = max(error.retry_after, 0.001)
            except (Unavailable, DeadlineExceeded) as error:
                # A call that was given up may still be running, and write to shared memory late.
                self._be_patient(began, error)
                broken = broken or link
                wait, pause = pause, min(2 * pause, _LONGEST_PAUSE)
            except InvalidInput:
                refused += 1
                if broken is not None or link.region is None or refused > _MOST_REFUSALS:
                    raise
                broken, wait = link, 0.0  # another process of the server, which does not have the region
            except ModelNotFound as error:
                raise ScorerError(f"{self._place} has no longer what the job began with: {error}") from None
            else:
                if sha256 != self.model.sha256:
                    raise self._changed(f"its file has the SHA-256 {sha256[:12]}…, not {self.model.sha256[:12]}…")
                self._answered = time.monotonic()
                return
            wait *= random.uniform(1, 1 + _JITTER)  # noqa: S311 no secret
            if self._stopped.wait(min(wait, self._left(began))):
                raise ScorerError("the job was stopped")

    def _score_once(
        self,
        lane: _Connection,
        link: _Session,
        pixels: NDArray[np.uint8],
        digits: NDArray[np.int64],
        scores: NDArray[np.float32],
        deadline: Deadline,
    ) -> str:
        """Returns the SHA-256 of the model that answered."""
        name, version = self.model.card.name, str(self.model.card.version)
        if link.region is not None:
            window = link.region.put(lane.index, pixels)
            sha256 = lane.client.infer_shared(name, version, pixels.shape, scores.shape[1], window, deadline=deadline)
            link.region.take(lane.index, digits, scores)
            return sha256
        answer = lane.client.infer(name, version, pixels, scores.shape[1], deadline=deadline)
        digits[:], scores[:] = answer.labels, answer.scores
        return answer.sha256

    def _left(self, began: float) -> float:
        """Seconds of patience that are left for rows whose first call `began` then; 0 or less when it is spent."""
        return max(self._answered, began) + self._patience - time.monotonic()

    def _be_patient(self, began: float, error: DigitsError) -> None:
        """Raise what `error` says when no call was answered for too long."""
        if self._left(began) <= 0:
            why = "" if isinstance(error, DeadlineExceeded) else f": {error}"
            raise ScorerError(f"{self._place} gave no answer for {self._patience:g} s{why}") from error

    def _reconnect(self, lane: _Connection, broken: _Session, deadline: Deadline) -> None:
        """After an interruption: the same model as before, and shared memory anew. One thread does it for all."""
        with self._lock:
            if self._link is not broken:
                return
            card = self.model.card
            served = lane.client.model(card.name, str(card.version), deadline=deadline)
            if served.sha256 != self.model.sha256:
                raise self._changed(f"its file has the SHA-256 {served.sha256[:12]}…, not {self.model.sha256[:12]}…")
            if served.execution_provider != self.model.provider:
                raise self._changed(f"it runs on {served.execution_provider}, not {self.model.provider}")
            if broken.region is not None:
                broken.region.close(lane.client)
            self._link = self._connect(deadline)

    def _connect(self, deadline: Deadline) -> _Session:
        if not self._prefix:
            return _Session(None)
        card = self.model.card
        size = (len(self._clients), self.span_rows, card.features, len(card.classes))
        return _Session(share(self._clients[0], self._prefix, self._job, *size, deadline=deadline))

    def _changed(self, what: str) -> ScorerError:
        return ScorerError(f"{self.model} on {self._place} is not what it was when the job began: {what}")


def _card(served: ServedModel) -> Card:
    """The card as the server tells it: text as it is, everything else as JSON."""
    try:
        values = {
            key: text if key in _TEXTS else json.loads(text)
            for key, text in served.properties.items()
            if key in Card.__dataclass_fields__
        }
        return Card.from_json(json.dumps(values))
    except (ValueError, CardError) as error:
        raise ScorerError(f"the card of model {served.name} cannot be read: {error}") from None
