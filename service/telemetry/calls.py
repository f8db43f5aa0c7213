"""What is recorded of a call, for its line in the log and for its spans."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from service.telemetry.call_ids import CallIds

T = TypeVar("T")


class ObservedContext(Protocol):
    """What is recorded of a context, see `service.api.method.Context`."""

    known_ids: CallIds | None
    identity: str | None
    record: "CallRecord | None"

    @property
    def peer(self) -> str:
        """The client's address."""

    def ids(self) -> CallIds:
        """What identifies the call."""


class Recorder(Protocol):
    """Takes what was recorded."""

    def ended(self, record: "CallRecord", code: str, sizes: dict[str, int | None]) -> None:
        """A call has ended with the status `code`; `sizes` are fields for the log."""


@dataclass(frozen=True, slots=True)
class Run:
    """What onnxruntime did for a call."""

    ended: int
    """By `time.time_ns`."""
    queue_us: int
    inference_us: int
    batch_rows: int
    """Rows of the whole batch, those of other callers included."""


@dataclass(slots=True, eq=False)
class CallRecord:
    """What one call did."""

    recorder: Recorder
    path: str
    context: ObservedContext
    refused: str | None = None
    """The name of a valid token that does not allow the call."""
    began: int = field(default_factory=time.time_ns)
    clock: int = field(default_factory=time.perf_counter_ns)
    model: str = ""
    version: str = ""
    rows: int = 0
    """Images of the call."""
    runs: list[Run] = field(default_factory=list)
    change: str = ""
    """What the call changes, such as `model 'mnist-16x16'`."""
    audited: bool = False
    """Whether its line is always written."""
    span: Any = None

    def observed(self, version: Any, rows: int, encode: Callable[[Any], T]) -> Callable[[Any], T]:
        """Note the images that go to a model; returns `encode` that also notes their `BatchSlice`."""
        self.model, self.version = version.name, version.version
        self.rows += rows

        def encode_and_note(part: Any) -> T:
            self.runs.append(Run(time.time_ns(), part.queue_us, part.inference_us, part.batch_rows))
            return encode(part)

        return encode_and_note

    def end(self, code: str, **sizes: int | None) -> None:
        """The call has ended with this status; `sizes` are fields for the log. Idempotent."""
        self.context.record = None
        self.recorder.ended(self, code, sizes)
