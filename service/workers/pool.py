"""The workers as one: changes reach all of them, and their counters are summed."""

import asyncio
from functools import reduce

from service.telemetry import metrics
from service.telemetry.logs import log
from service.telemetry.metrics import Snapshot
from service.workers.ipc import AnswerFailed, ChannelClosed, Content, IpcConnection

# Seconds to wait for the counters of one worker; then its last reported ones are used.
SNAPSHOT_SECONDS = 1.0


class WorkerPool:
    """The current workers, the changes to replay for new ones, and the counters of those that ended."""

    def __init__(self) -> None:
        self._members: dict[int, IpcConnection] = {}
        self._snapshots: dict[int, Snapshot] = {}
        self._changing = asyncio.Lock()
        self._replayed: dict[tuple[str, ...], Content] = {}
        self._ended: Snapshot = {}

    async def join(self, number: int, channel: IpcConnection) -> None:
        """Replay the changes in a worker that has loaded its models, and add it.

        Raises `ChannelClosed`.
        """
        async with self._changing:
            for call in self._replayed.values():
                answer = await _run(channel, call)
                if "error" in answer:
                    log.warning("change not repeated", worker=number, path=call["path"], reason=answer["error"][-1])
            self._members[number] = channel

    def leave(self, number: int) -> None:
        """Remove a worker that ended; its counters stay in the sums."""
        self._members.pop(number, None)
        self._ended = metrics.add(self._ended, metrics.ended(self._snapshots.pop(number, {})))

    def counted(self, number: int, snapshot: Snapshot) -> None:
        """Store the counters of a worker since its start."""
        self._snapshots[number] = snapshot

    async def change(
        self, path: str, request: str, key: list[str], replay: bool, ids: dict[str, str] | None = None
    ) -> Content:
        """Run an RPC in every worker, its request in base64; the answer of one, or the error of any.

        `ids` are the identifiers of the call, for the log lines of each worker.
        A worker that ends meanwhile is left out: the change is replayed in its successor.
        """
        call = {"path": path, "request": request, "ids": ids or {}}
        async with self._changing:
            answers = await asyncio.gather(
                *(_run(channel, call) for channel in self._members.values()), return_exceptions=True
            )
            told: list[Content] = []
            for answer in answers:
                if isinstance(answer, BaseException):
                    if not isinstance(answer, ChannelClosed):
                        raise answer
                else:
                    told.append(answer)
            errors = [answer for answer in told if "error" in answer]
            if not errors and told:
                self._changed(tuple(key), call if replay else None)
            return (errors or told or [{"error": []}])[0]

    def _changed(self, key: tuple[str, ...], replay: Content | None) -> None:
        self._replayed = {known: call for known, call in self._replayed.items() if known[: len(key)] != key}
        if replay is not None:
            self._replayed[key] = replay

    async def totals(self) -> Snapshot:
        """What all workers have counted, those included that have ended."""
        await asyncio.gather(*(self._ask(number, channel) for number, channel in self._members.items()))
        return reduce(metrics.add, self._snapshots.values(), self._ended)

    async def _ask(self, number: int, channel: IpcConnection) -> None:
        try:
            async with asyncio.timeout(SNAPSHOT_SECONDS):
                snapshot = await channel.ask("snapshot")
        except (TimeoutError, ChannelClosed, AnswerFailed):
            return
        if self._members.get(number) is channel:
            self._snapshots[number] = snapshot


async def _run(channel: IpcConnection, call: Content) -> Content:
    """A worker's answer to a call: `response`, or `error` with the name of the class and its arguments."""
    try:
        return await channel.ask("run", **call)
    except AnswerFailed:
        return {"error": []}
