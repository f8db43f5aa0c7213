"""The model on a server: several connections with a call in flight on each, and retries while the server restarts."""

import json
import queue
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
from digits_client import (
    DeadlineExceeded,
    DigitsClient,
    DigitsError,
    InvalidInput,
    ModelNotFound,
    Overloaded,
    Reading,
    TooLarge,
    Unavailable,
)
from digits_client.connection.channel import Deadline
from digits_client.connection.endpoint import Endpoint
from digits_client.inference import InferenceClient, ServedModel
from numpy.typing import NDArray

from artifact.card import Card, CardError
from scoring.chunk import PictureError, PictureText
from scoring.scorers.pictures import text_of
from scoring.scorers.scorer import Model, ScorerError
from scoring.scorers.shared_region import SharedRegion, open_region

# Rows of one call, if the server allows as many: the cost of a call is spread over them.
_CALL_ROWS = 4096
# Bytes of a request beside its pixels: names, field numbers, lengths.
_REQUEST_OVERHEAD = 4096
# Pauses before an unreachable server is called again, seconds; each is twice the one before.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0
# Deadline of the last call, seconds, when the retry timeout ends in a pause: enough to learn why there is no answer.
_LAST_CALL = 0.2
# How often the server may reject the same rows for lack of the region, before the rows themselves are at fault.
_MAX_REJECTIONS = 3
# Pauses are lengthened by up to this share, so that callers rejected together do not return together.
_JITTER = 0.2
# Fields of the card that are text; a server sends the others as JSON.
_TEXT_FIELDS = ("name", "preparation", "activation", "output_activation", "dataset", "dataset_sha256", "variant")


@dataclass(frozen=True, slots=True, eq=False)
class _Session:
    """What is valid until the server restarts."""

    region: SharedRegion | None
    """Shared memory that the server has open, with one window for each connection."""


@dataclass(frozen=True, slots=True, eq=False)
class _Connection:
    """A connection, and the index of its window in shared memory."""

    client: InferenceClient
    index: int


class RemoteScorer:
    """Sends raw uint8 pixels over the Open Inference Protocol, or through shared memory to a server on this host.

    Calls that do not reach a server are repeated with growing pauses, and calls that its queue rejects after the
    pause that the server asks for, until no call has been answered for `retry_timeout` seconds. After each
    interruption the model is compared with the one that the job started with.
    """

    def __init__(
        self,
        target: str,
        *,
        name: str = "",
        version: str = "",
        calls: int = 4,
        retry_timeout: float = 60.0,
        shared_memory: str = "",
        job: str = "",
        read: bool = False,
    ) -> None:
        """Ask the server at `target` for the model; an empty `version` means the newest, which then stays the same.

        `shared_memory` is the prefix of the objects that the server may open, see `digits serve --shared-memory`;
        empty: pixels go through gRPC. `job` is part of the names of this job's objects, so that a resumed job
        removes those of the killed one. `read` is whether pictures are read rather than pixels scored.

        Raises a `DigitsError` or `ScorerError`; `ValueError` or `TypeError` for an address that cannot be one.
        """
        self._place, self._retry_timeout = str(Endpoint(target)), retry_timeout
        self._prefix, self._job = shared_memory, job
        self._reconnect_lock = threading.Lock()
        self._stopped = threading.Event()
        self._closed = False
        self._session = _Session(None)
        self._pictures: DigitsClient | None = None
        deadline = Deadline(retry_timeout, self._place)
        with DigitsClient(target, timeout=retry_timeout) as client:
            listing = client.models()
        self._clients = [InferenceClient(target, timeout=retry_timeout) for _ in range(calls)]
        try:
            served = self._clients[0].model(name, version, deadline=deadline)
            self.model = Model(_read_card(served), served.sha256, served.execution_provider)
            message_rows = (listing.max_message_bytes - _REQUEST_OVERHEAD) // self.model.card.features
            self.span_rows = max(min(listing.max_rows, _CALL_ROWS, message_rows), 1)
            self.threads = calls
            if read:
                self._pictures = DigitsClient(
                    target,
                    model=self.model.card.name,
                    version=str(self.model.card.version),
                    timeout=retry_timeout,
                    channels=calls,
                )
            self._session = self._open_session(deadline)
        except BaseException:
            self.close()
            raise
        self._last_answer = time.monotonic()
        self._idle: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        for index, each in enumerate(self._clients):
            self._idle.put(_Connection(each, index))

    @property
    def how(self) -> str:
        """As `Scorer.how`."""
        by = "shared memory" if self._session.region else "gRPC"
        return f"by {by} from {self._place}, {self.model.provider}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Unregister shared memory and close the connections. Idempotent."""
        if self._closed:
            return
        self._closed = True
        if self._session.region is not None:
            self._session.region.close(self._clients[0])
        for client in self._clients:
            client.close()
        if self._pictures is not None:
            self._pictures.close()

    def stop(self) -> None:
        """As `Scorer.stop`: ends pauses, and closes the connections."""
        self._stopped.set()
        self.close()

    def score(
        self,
        pixels: NDArray[np.uint8],
        digits: NDArray[np.int64],
        scores: NDArray[np.float32],
        chances: NDArray[np.float32] | None = None,
    ) -> None:
        """As `Scorer.score`."""
        connection = self._idle.get()
        try:
            for start in range(0, len(pixels), self.span_rows):
                rows = slice(start, start + self.span_rows)
                filled = digits[rows], scores[rows], None if chances is None else chances[rows]
                self._call_with_retries(connection, partial(self._call, connection, pixels[rows], *filled))
        finally:
            self._idle.put(connection)

    def read(self, picture: bytes, reject_above: float | None) -> PictureText:
        """As `Scorer.read`."""
        connection = self._idle.get()
        found: list[Reading] = []

        def call(session: _Session, deadline: Deadline) -> str:
            assert self._pictures is not None
            found.append(self._pictures.read(picture, reject_above=reject_above, timeout=deadline.left()))
            return found[-1].model.sha256

        try:
            self._call_with_retries(connection, call)
        except (InvalidInput, TooLarge) as error:
            raise PictureError(str(error).removeprefix("encoded_image: ")) from None
        finally:
            self._idle.put(connection)
        return text_of(found[-1])

    def _call_with_retries(self, connection: _Connection, call: Callable[[_Session, Deadline], str]) -> None:
        """Make the call, which returns the SHA-256 of the model that answered, until it is answered."""
        began = time.monotonic()
        pause = _FIRST_PAUSE
        broken: _Session | None = None
        rejections = 0
        while True:
            session = self._session
            deadline = Deadline(max(self._time_left(began), _LAST_CALL), self._place)
            try:
                if broken is not None:
                    self._reconnect(connection, broken, deadline)
                    broken, session = None, self._session
                sha256 = call(session, deadline)
            except Overloaded as error:
                self._check_time_left(began, error)
                wait = max(error.retry_after, 0.001)
            except (Unavailable, DeadlineExceeded) as error:
                # A call that was given up may still be running, and write to the shared memory of this session.
                self._check_time_left(began, error)
                broken = broken or session
                wait, pause = pause, min(2 * pause, _LONGEST_PAUSE)
            except InvalidInput:
                rejections += 1
                if broken is not None or session.region is None or rejections > _MAX_REJECTIONS:
                    raise
                broken, wait = session, 0.0  # another process of the server answered, which has not the region
            except ModelNotFound as error:
                raise ScorerError(f"{self._place} has no longer what the job began with: {error}") from None
            else:
                self._check_sha256(sha256)
                self._last_answer = time.monotonic()
                return
            wait *= random.uniform(1, 1 + _JITTER)  # noqa: S311 no secret
            if self._stopped.wait(min(wait, self._time_left(began))):
                raise ScorerError("the job was stopped")

    def _call(
        self,
        connection: _Connection,
        pixels: NDArray[np.uint8],
        digits: NDArray[np.int64],
        scores: NDArray[np.float32],
        chances: NDArray[np.float32] | None,
        session: _Session,
        deadline: Deadline,
    ) -> str:
        """One call; returns the SHA-256 of the model that answered."""
        client, region = connection.client, session.region
        name, version, classes = self.model.card.name, str(self.model.card.version), scores.shape[1]
        if region is not None:
            window = region.write(connection.index, pixels)
            sha256 = client.infer_shared(name, version, pixels.shape, classes, window, deadline=deadline)
            region.read(connection.index, digits, scores)
            return sha256
        answer = client.infer(name, version, pixels, classes, chances=chances is not None, deadline=deadline)
        digits[:], scores[:] = answer.labels, answer.scores
        if chances is not None:
            chances[:] = answer.not_a_digit
        return answer.sha256

    def _time_left(self, began: float) -> float:
        """Seconds until the retry timeout of rows whose first call `began` then; 0 or less when it is over."""
        return max(self._last_answer, began) + self._retry_timeout - time.monotonic()

    def _check_time_left(self, began: float, error: DigitsError) -> None:
        """Raise a `ScorerError` with the reason of `error` when the retry timeout is over."""
        if self._time_left(began) <= 0:
            why = "" if isinstance(error, DeadlineExceeded) else f": {error}"
            raise ScorerError(f"{self._place} gave no answer for {self._retry_timeout:g} s{why}") from error

    def _reconnect(self, connection: _Connection, broken: _Session, deadline: Deadline) -> None:
        """After an interruption, check that the model is the same and open a new session, once for all threads."""
        with self._reconnect_lock:
            if self._session is not broken:
                return
            card = self.model.card
            served = connection.client.model(card.name, str(card.version), deadline=deadline)
            self._check_sha256(served.sha256)
            if served.execution_provider != self.model.provider:
                raise self._model_changed(f"it runs on {served.execution_provider}, not {self.model.provider}")
            if broken.region is not None:
                broken.region.close(connection.client)
            self._session = self._open_session(deadline)

    def _open_session(self, deadline: Deadline) -> _Session:
        if not self._prefix:
            return _Session(None)
        card = self.model.card
        size = (len(self._clients), self.span_rows, card.features, len(card.classes))
        return _Session(open_region(self._clients[0], self._prefix, self._job, *size, deadline=deadline))

    def _check_sha256(self, found: str) -> None:
        if found != self.model.sha256:
            raise self._model_changed(f"its file has the SHA-256 {found[:12]}…, not {self.model.sha256[:12]}…")

    def _model_changed(self, what: str) -> ScorerError:
        return ScorerError(f"{self.model} on {self._place} is not what it was when the job began: {what}")


def _read_card(served: ServedModel) -> Card:
    """The card from the properties that the server sends: some as text, the others as JSON."""
    try:
        values = {
            key: text if key in _TEXT_FIELDS else json.loads(text)
            for key, text in served.properties.items()
            if key in Card.__dataclass_fields__
        }
        return Card.from_json(json.dumps(values))
    except (ValueError, CardError) as error:
        raise ScorerError(f"the card of model {served.name} cannot be read: {error}") from None
