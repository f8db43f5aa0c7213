"""Combines the rows of concurrent callers into one batch, and returns them to their callers in order.

No timer delays a call: the batcher takes what is queued when the runtime is free. A transport delivers the calls of
busy clients one or two per turn of the event loop, and runs of one row each cost several times a shared run. So after
a shared batch the batcher waits a few turns, microseconds each, while calls keep coming; a lone caller runs in the
next turn.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from engine.capacity import CapacityWaiter
from engine.errors import DeadlinePassed, NotReady, QueueFull, RunFailed
from engine.log import log
from engine.models.session import InferenceResult
from engine.statistics import Statistics

# Turns of the loop without a new call before a batch is run, once calls have been found to share one.
# Measured on grpc.aio with 128 calls in flight: 2 turns gather 1.2 calls a batch, 4 gather 51, 8 gather 80.
GATHER_TURNS = 8
# Longest time to gather a batch, however steadily calls arrive.
GATHER_NS = 2_000_000
# Calls of this many rows run alone: copying the pixels of several together costs more than it saves, and
# onnxruntime is fastest at a few hundred rows, whose values stay in the cache.
SOLO_ROWS = 64

T = TypeVar("T")
Run = Callable[[NDArray[np.uint8], bool, bool], InferenceResult]


@dataclass(slots=True)
class BatchSlice:
    """The result for one caller's rows, and where their time went."""

    batch: InferenceResult
    """The result of the whole run."""
    start: int
    """First row of the caller in it."""
    stop: int
    """Row after the last one of the caller."""
    queue_us: int
    """Time from submission to the start of the run, microseconds."""
    inference_us: int
    """Time of the run, microseconds."""
    batch_rows: int
    """Rows of the whole batch."""

    @property
    def result(self) -> InferenceResult:
        """The rows of the caller."""
        return self.batch if self.stop - self.start == self.batch_rows else self.batch.rows(self.start, self.stop)


@dataclass(slots=True)
class _Entry:
    pixels: NDArray[np.uint8]
    hidden: bool
    warnings: bool
    deadline: float | None
    encode: Callable[[BatchSlice], Any]
    submitted: int
    future: asyncio.Future[Any]


class Batcher:
    """The queue in front of one session. Belongs to one event loop; only the run may be in a thread."""

    def __init__(
        self,
        run: Run,
        *,
        max_batch_rows: int,
        max_queue_rows: int,
        inline_rows: int,
        executor: Executor,
        statistics: Statistics | None = None,
    ) -> None:
        """`run(pixels, hidden, warnings)` scores uint8 [N, features]; `statistics` counts what happens.

        Batches of up to `inline_rows` rows run on the event loop, since a thread hop costs more than
        the run, larger ones on `executor`.
        """
        self._run = run
        self.max_batch_rows = max_batch_rows
        self.max_queue_rows = max_queue_rows
        self._inline_rows = inline_rows
        self._executor = executor
        self._statistics = statistics or Statistics()
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Entry] = deque()
        self._rows = 0
        self._running = False
        self._scheduled = False
        self._turns = 0
        self._closed = False
        self._row_seconds = 1e-5  # of the last batch; to estimate the retry time of refused callers
        self._capacity = CapacityWaiter()
        self._task: asyncio.Task[None] | None = None  # the loop itself keeps only a weak reference

    @property
    def slice_rows(self) -> int:
        """Rows that a caller with many submits at once, so that others' come between them."""
        return min(SOLO_ROWS, self.max_batch_rows, self.max_queue_rows)

    @property
    def queued_rows(self) -> int:
        """Rows that wait in the queue."""
        return self._rows

    def submit(
        self,
        pixels: NDArray[np.uint8],
        encode: Callable[[BatchSlice], T],
        *,
        hidden: bool = False,
        warnings: bool = False,
        deadline: float | None = None,
    ) -> asyncio.Future[T]:
        """Queue uint8 [N, features], N in 1..max_batch_rows, all of one batch; `deadline` by `time.monotonic`.

        `hidden` and `warnings` say which parts of `InferenceResult` the caller needs beside labels and scores.

        The future gives `finish(answer)`, which is called on the event loop for all callers of a batch one
        after the other: in a tight loop their answers cost half of what they cost when each is written by
        its own task.

        Cancelling the future takes the rows out of the queue, unless they are being run already. Raises
        `QueueFull`, `DeadlinePassed` or `NotReady` at once; the future may raise `DeadlinePassed`,
        `NotReady` or `RunFailed`.
        """
        if len(pixels) > self.max_batch_rows:  # it would stay at the head of the queue for ever
            raise ValueError(f"{len(pixels)} images are more than the {self.max_batch_rows} of a batch")
        if self._closed:
            raise NotReady("the model was unloaded")
        if deadline is not None and deadline <= time.monotonic():
            self._statistics.dropped += 1
            raise DeadlinePassed("the deadline passed before the images could be queued")
        if self._full(len(pixels)):
            raise QueueFull(
                f"the queue holds {self._rows} images and takes {self.max_queue_rows}, "
                f"there is no room for {len(pixels)} more",
                retry_after=max(self._rows * self._row_seconds, 0.01),
            )
        future: asyncio.Future[T] = self._loop.create_future()
        self._queue.append(_Entry(pixels, hidden, warnings, deadline, encode, time.perf_counter_ns(), future))
        self._rows += len(pixels)
        if len(self._queue) == 1 and SOLO_ROWS <= len(pixels) <= self._inline_rows and not self._running:
            self._flush()  # the queue is empty and the runtime is free
        else:
            self._schedule()
        return future

    async def wait_for_capacity(self, rows: int, deadline: float | None = None) -> None:
        """Wait until `rows` fit into one half of the queue. Raises `DeadlinePassed`.

        The other half is for callers that do not wait, and are refused when the queue is full.
        """
        while self._rows and self._full(rows + self.max_queue_rows // 2) and not self._closed:
            await self._capacity.wait(deadline)

    def close(self) -> None:
        """Refuse new rows and fail waiting ones with `NotReady`; a run in progress completes."""
        self._closed = True
        for entry in self._queue:
            if not entry.future.done():
                entry.future.set_exception(NotReady("the model was unloaded while the call waited"))
        self._queue.clear()
        self._rows = 0
        self._capacity.wake()

    def _full(self, rows: int) -> bool:
        if self._rows + rows <= self.max_queue_rows:
            return False
        self._forget()  # cancelled callers must not take the place of others
        return self._rows + rows > self.max_queue_rows

    def _forget(self) -> None:
        """Drop entries that were cancelled or whose deadline has passed."""
        now = time.monotonic()
        kept = deque(entry for entry in self._queue if self._alive(entry, now))
        self._queue = kept
        self._rows = sum(len(entry.pixels) for entry in kept)

    def _alive(self, entry: _Entry, now: float) -> bool:
        expired = entry.deadline is not None and entry.deadline <= now
        if entry.future.done():  # the transport may have cancelled it at the deadline
            self._statistics.dropped += expired
            return False
        if expired:
            self._statistics.dropped += 1
            entry.future.set_exception(DeadlinePassed("the deadline passed while the images were queued"))
            return False
        return True

    def _schedule(self) -> None:
        if not self._running and not self._scheduled:
            self._scheduled = True
            until = time.perf_counter_ns() + GATHER_NS
            self._loop.call_soon(self._gather, len(self._queue), self._turns, until)

    def _gather(self, seen: int, turns: int, until: int) -> None:
        """Flush after `turns` turns of the loop without a new call; at `until`, or with a full batch, at once."""
        calls = len(self._queue)
        if calls > seen:
            turns = self._turns
        full = self._rows >= self.max_batch_rows or (calls > 0 and len(self._queue[0].pixels) >= SOLO_ROWS)
        if turns == 0 or full or time.perf_counter_ns() >= until:
            self._flush()
        else:
            self._loop.call_soon(self._gather, calls, turns - 1, until)

    def _flush(self) -> None:
        """Take a batch off the queue and run it."""
        self._scheduled = False
        self._turns = GATHER_TURNS if len(self._queue) > 1 else 0
        batch: list[_Entry] = []
        rows = 0
        now = time.monotonic()
        while self._queue and rows + (more := len(self._queue[0].pixels)) <= self.max_batch_rows:
            if more >= SOLO_ROWS and batch:
                break
            entry = self._queue.popleft()
            self._rows -= more
            if self._alive(entry, now):
                batch.append(entry)
                rows += more
                if more >= SOLO_ROWS:
                    break
        self._capacity.wake()
        if not batch:
            return
        taken = time.perf_counter_ns()
        pixels = batch[0].pixels if len(batch) == 1 else np.concatenate([entry.pixels for entry in batch])
        hidden = any(entry.hidden for entry in batch)
        warnings = any(entry.warnings for entry in batch)
        began = time.perf_counter_ns()
        if rows <= self._inline_rows:
            try:
                result = self._run(pixels, hidden, warnings)
            except Exception as error:
                self._fail(batch, error)
            else:
                self._deliver(batch, result, taken, began, time.perf_counter_ns(), rows)
            if self._queue:
                self._schedule()
        else:
            self._running = True
            self._task = self._loop.create_task(self._run_in_thread(batch, pixels, hidden, warnings, rows, taken))

    async def _run_in_thread(
        self, batch: list[_Entry], pixels: NDArray[np.uint8], hidden: bool, warnings: bool, rows: int, taken: int
    ) -> None:
        def timed() -> tuple[InferenceResult, int, int]:
            began = time.perf_counter_ns()
            return self._run(pixels, hidden, warnings), began, time.perf_counter_ns()

        try:
            result, began, ended = await self._loop.run_in_executor(self._executor, timed)
        except Exception as error:
            self._fail(batch, error)
        else:
            self._deliver(batch, result, taken, began, ended, rows)
        finally:
            self._running = False
            if self._queue:
                self._schedule()

    def _deliver(
        self, batch: list[_Entry], result: InferenceResult, taken: int, began: int, ended: int, rows: int
    ) -> None:
        """Give the callers their results; `taken`, `began` and `ended` by `time.perf_counter_ns`."""
        waited = self._statistics.queue.add
        inference_us = (ended - began) // 1000
        self._row_seconds = (ended - began) / 1e9 / rows
        start = 0
        for entry in batch:
            stop = start + len(entry.pixels)
            waited(began - entry.submitted)
            if not entry.future.done():
                batch_slice = BatchSlice(result, start, stop, (began - entry.submitted) // 1000, inference_us, rows)
                try:
                    entry.future.set_result(entry.encode(batch_slice))
                except Exception as error:
                    entry.future.set_exception(error)
            start = stop
        self._statistics.ran(rows, began - taken, ended - began, time.perf_counter_ns() - ended)

    def _fail(self, batch: list[_Entry], error: Exception) -> None:
        log.error("run failed", rows=sum(len(entry.pixels) for entry in batch), exc_info=error)
        for entry in batch:
            if not entry.future.done():
                entry.future.set_exception(RunFailed("onnxruntime failed"))
