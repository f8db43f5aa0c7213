"""The queue in front of a session: full batches, order, bounds, deadlines, callers that are gone."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engine.errors import DeadlinePassed, NotReady, QueueFull, RunFailed
from engine.models.batcher import Batcher, BatchSlice
from engine.models.session import InferenceResult


class Recorder:
    """A run that remembers its batches; each row's label and score are its first pixel."""

    def __init__(self) -> None:
        self.batches: list[np.ndarray] = []
        self.threads: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()

    def __call__(self, pixels: np.ndarray, hidden: bool, warnings: bool) -> InferenceResult:
        self.batches.append(pixels.copy())
        self.threads.append(threading.current_thread().name)
        self.started.set()
        assert self.gate.wait(10)
        if (pixels == 13).any():
            raise RuntimeError("the device caught fire")
        values = pixels[:, :1].astype(np.float32)
        return InferenceResult(pixels[:, 0].astype(np.int64), values, (values * 2,) if hidden else ())


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def make(recorder: Recorder):
    executor = ThreadPoolExecutor(1, thread_name_prefix="run")

    def build(**limits: int) -> Batcher:
        settings = {"max_batch_rows": 8, "max_queue_rows": 16, "inline_rows": 8} | limits
        return Batcher(recorder, executor=executor, **settings)

    yield build
    recorder.gate.set()
    executor.shutdown()


def same(answer: BatchSlice) -> BatchSlice:
    return answer


def rows(*values: int) -> np.ndarray:
    return np.array(values, np.uint8).reshape(-1, 1).repeat(3, axis=1)


async def test_calls_that_queued_together_become_one_batch_and_get_their_own_rows(make, recorder):
    """Two callers of one loop turn share a run, each gets its rows in its order."""
    batcher = make()
    first, second = batcher.submit(rows(1, 2), same), batcher.submit(rows(3), same)
    a, b = await asyncio.gather(first, second)
    assert [batch[:, 0].tolist() for batch in recorder.batches] == [[1, 2, 3]]
    assert a.result.labels.tolist() == [1, 2]
    assert b.result.labels.tolist() == [3]
    assert a.batch_rows == b.batch_rows == 3


async def test_a_batch_never_exceeds_its_limit_nor_tears_a_call_apart(make, recorder):
    """Calls are taken whole, in order, up to max_batch_rows."""
    batcher = make(max_batch_rows=4)
    answers = await asyncio.gather(*(batcher.submit(rows(*[i] * 3), same) for i in range(1, 5)))
    assert [len(batch) for batch in recorder.batches] == [3, 3, 3, 3]
    assert [answer.result.labels.tolist() for answer in answers] == [[i] * 3 for i in range(1, 5)]


async def test_an_idle_batcher_runs_a_single_call_at_once(make, recorder):
    """There is no window to wait for more callers."""
    answer = await make().submit(rows(7), same)
    assert answer.batch_rows == 1
    assert answer.queue_us < 100_000


async def test_small_batches_run_on_the_loop_and_large_ones_in_a_thread(make, recorder):
    """The border is inline_rows."""
    batcher = make(inline_rows=2)
    await batcher.submit(rows(1, 2), same)
    await batcher.submit(rows(1, 2, 3), same)
    assert recorder.threads[0] == threading.current_thread().name
    assert recorder.threads[1].startswith("run")


async def test_rows_that_come_during_a_run_form_the_next_batch(make, recorder):
    """While the runtime is busy the queue collects."""
    batcher = make(inline_rows=0)
    recorder.gate.clear()
    first = batcher.submit(rows(1), same)
    await asyncio.to_thread(recorder.started.wait, 5)
    later = [batcher.submit(rows(i), same) for i in (2, 3, 4)]
    assert batcher.queued_rows == 3
    recorder.gate.set()
    answers = await asyncio.gather(first, *later)
    assert [batch[:, 0].tolist() for batch in recorder.batches] == [[1], [2, 3, 4]]
    assert [answer.result.labels.tolist() for answer in answers] == [[1], [2], [3], [4]]


async def test_hidden_layers_go_to_those_who_asked_when_any_did(make, recorder):
    """A batch fetches the union of what its callers asked."""
    batcher = make()
    plain, asked = await asyncio.gather(batcher.submit(rows(1), same), batcher.submit(rows(2), same, hidden=True))
    assert asked.result.hidden[0].tolist() == [[4.0]]
    assert plain.result.labels.tolist() == [1]


async def test_a_full_queue_refuses_at_once_and_says_when_to_return(make, recorder):
    """What waits is bounded in rows; the refused call leaves the others alone."""
    batcher = make(inline_rows=0, max_queue_rows=8)
    recorder.gate.clear()
    running = batcher.submit(rows(1), same)
    await asyncio.to_thread(recorder.started.wait, 5)
    waiting = batcher.submit(rows(*[2] * 8), same)
    with pytest.raises(QueueFull, match=r"holds 8 images and takes 8, there is no room for 1 more") as refused:
        batcher.submit(rows(3), same)
    assert refused.value.retry_after > 0
    recorder.gate.set()
    await asyncio.gather(running, waiting)
    assert (await batcher.submit(rows(3), same)).result.labels.tolist() == [3]


async def test_a_caller_that_is_gone_is_never_run_and_frees_its_room(make, recorder):
    """A cancelled future leaves the queue; a full queue of such makes room."""
    batcher = make(inline_rows=0, max_queue_rows=8)
    recorder.gate.clear()
    running = batcher.submit(rows(1), same)
    await asyncio.to_thread(recorder.started.wait, 5)
    batcher.submit(rows(*[2] * 8), same).cancel()
    kept = batcher.submit(rows(3), same)
    recorder.gate.set()
    await asyncio.gather(running, kept)
    assert [batch[:, 0].tolist() for batch in recorder.batches] == [[1], [3]]


async def test_a_deadline_that_passes_in_the_queue_drops_the_work(make, recorder):
    """The rows are never run, and the caller is told."""
    batcher = make(inline_rows=0)
    recorder.gate.clear()
    running = batcher.submit(rows(1), same)
    await asyncio.to_thread(recorder.started.wait, 5)
    late = batcher.submit(rows(2), same, deadline=time.monotonic() + 0.01)
    await asyncio.sleep(0.02)
    recorder.gate.set()
    await running
    with pytest.raises(DeadlinePassed):
        await late
    assert [batch[:, 0].tolist() for batch in recorder.batches] == [[1]]


async def test_a_deadline_already_past_is_refused_at_once(make, recorder):
    """Nothing is queued for a caller that has stopped waiting."""
    batcher = make()
    with pytest.raises(DeadlinePassed):
        batcher.submit(rows(1), same, deadline=time.monotonic() - 1)
    assert batcher.queued_rows == 0


@pytest.mark.parametrize("inline_rows", [0, 8])
async def test_a_run_that_fails_fails_its_callers_and_the_next_batch_goes_on(make, recorder, inline_rows):
    """Whatever onnxruntime raises becomes RunFailed, without its words, and the batcher lives."""
    batcher = make(inline_rows=inline_rows)
    with pytest.raises(RunFailed, match=r"^onnxruntime failed$"):
        await batcher.submit(rows(13), same)
    assert (await batcher.submit(rows(5), same)).result.labels.tolist() == [5]


async def test_waiting_for_room_ends_when_the_queue_gets_shorter(make, recorder):
    """`wait_for_capacity` neither refuses nor returns early."""
    batcher = make(inline_rows=0, max_queue_rows=8)
    recorder.gate.clear()
    running = batcher.submit(rows(1), same)
    await asyncio.to_thread(recorder.started.wait, 5)
    waiting = batcher.submit(rows(*[2] * 8), same)
    room = asyncio.create_task(batcher.wait_for_capacity(4))
    await asyncio.sleep(0.02)
    assert not room.done()
    recorder.gate.set()
    await asyncio.wait_for(room, 5)
    await asyncio.gather(running, waiting)


async def test_waiting_for_room_ends_at_the_deadline(make, recorder):
    """A caller does not wait for room longer than it would for the answer."""
    batcher = make(inline_rows=0, max_queue_rows=8)
    recorder.gate.clear()
    running = batcher.submit(rows(1), same)
    await asyncio.to_thread(recorder.started.wait, 5)
    waiting = batcher.submit(rows(*[2] * 8), same)
    with pytest.raises(DeadlinePassed):
        await batcher.wait_for_capacity(1, time.monotonic() + 0.02)
    recorder.gate.set()
    await asyncio.gather(running, waiting)


async def test_closing_fails_what_waits_and_lets_the_run_in_progress_end(make, recorder):
    """Nothing accepted is lost silently."""
    batcher = make(inline_rows=0)
    recorder.gate.clear()
    running = batcher.submit(rows(1), same)
    await asyncio.to_thread(recorder.started.wait, 5)
    waiting = batcher.submit(rows(2), same)
    batcher.close()
    recorder.gate.set()
    assert (await running).result.labels.tolist() == [1]
    with pytest.raises(NotReady):
        await waiting
    with pytest.raises(NotReady):
        batcher.submit(rows(3), same)


async def test_calls_that_come_turn_by_turn_share_a_batch_once_calls_were_shared(make, recorder):
    """After a shared batch the batcher looks again for some turns; a caller alone is let through at once."""
    batcher = make()
    await asyncio.gather(batcher.submit(rows(1), same), batcher.submit(rows(2), same))
    first = batcher.submit(rows(3), same)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    second = batcher.submit(rows(4), same)
    await asyncio.gather(first, second)
    await batcher.submit(rows(5), same)
    await batcher.submit(rows(6), same)
    assert [batch[:, 0].tolist() for batch in recorder.batches] == [[1, 2], [3, 4], [5], [6]]


async def test_calls_that_never_stop_coming_do_not_delay_a_batch_for_ever(make, recorder):
    """Gathering ends after a fixed time, however steadily calls come."""
    batcher = make(max_batch_rows=1_000_000, max_queue_rows=1_000_000, inline_rows=1_000_000)
    await asyncio.gather(batcher.submit(rows(1), same), batcher.submit(rows(2), same))
    first = batcher.submit(rows(3), same)
    began = time.monotonic()
    others = []
    while not first.done() and time.monotonic() - began < 5:
        others.append(batcher.submit(rows(4), same))
        await asyncio.sleep(0)
    assert time.monotonic() - began < 1
    await asyncio.gather(*others)


async def test_an_answer_that_cannot_be_written_fails_its_caller_alone(make, recorder):
    """What `finish` raises goes to the one caller whose it is."""

    def broken(answer: BatchSlice) -> BatchSlice:
        raise ValueError("no ink")

    batcher = make()
    bad, good = batcher.submit(rows(1), broken), batcher.submit(rows(2), same)
    with pytest.raises(ValueError, match="no ink"):
        await bad
    assert (await good).result.labels.tolist() == [2]


async def test_more_rows_than_a_batch_takes_are_refused(make):
    """In the queue they would keep everyone else waiting; `slice_rows` says how many may come at once."""
    batcher = make(max_batch_rows=4)
    with pytest.raises(ValueError, match="5 images are more than the 4 of a batch"):
        batcher.submit(rows(1, 2, 3, 4, 5), same)
    assert batcher.slice_rows == 4
    assert make(max_batch_rows=100, max_queue_rows=50).slice_rows == 50
    assert make(max_batch_rows=100, max_queue_rows=100).slice_rows == 64
    assert (await batcher.submit(rows(7), same)).result.labels.tolist() == [7]
