"""What a supervisor and a worker tell each other: messages both ways over one socket.

A message is four bytes of length, then a JSON object of that many bytes.
"""

import asyncio
import itertools
import json
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Self

from service.telemetry.logs import log

Content = dict[str, Any]
Answer = Callable[[str, Content], Awaitable[Content | None]]


class ChannelClosed(Exception):
    """The other side is gone."""


class AnswerFailed(Exception):
    """The other side could not answer; why is in its log."""


class IpcConnection:
    """One side of it. Belongs to one event loop; whoever is asked may ask back before the answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Content]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._reading = asyncio.create_task(self._read())
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when nothing can be told or asked any more."""

    @classmethod
    async def open(cls, connected: socket.socket, answer: Answer) -> Self:
        """Over a connected stream socket; `answer(what, content)` is called for each message of the other side."""
        reader, writer = await asyncio.open_connection(sock=connected)
        return cls(reader, writer, answer)

    async def tell(self, what: str, **content: Any) -> None:
        """Send what wants no answer. Raises `ChannelClosed`."""
        await self._send({"what": what, "content": content})

    async def ask(self, what: str, **content: Any) -> Content:
        """Send a question; returns what the other side's `answer` gives. Raises `ChannelClosed`, `AnswerFailed`."""
        number = next(self._numbers)
        waiting: asyncio.Future[Content] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waiting
        try:
            await self._send({"what": what, "content": content, "question": number})
            return await waiting
        finally:
            del self._waiting[number]

    async def _send(self, message: Content) -> None:
        if self.closed.done():
            raise ChannelClosed
        data = json.dumps(message).encode()
        try:
            self._writer.write(len(data).to_bytes(4, "big") + data)
            await self._writer.drain()
        except OSError:
            raise ChannelClosed from None

    async def _read(self) -> None:
        try:
            while True:
                length = int.from_bytes(await self._reader.readexactly(4), "big")
                self._received(json.loads(await self._reader.readexactly(length)))
        except (OSError, asyncio.IncompleteReadError):
            pass  # the other side is gone
        finally:
            self.close()

    def _received(self, message: Content) -> None:
        if "to" in message:
            waiting = self._waiting.get(message["to"])
            if waiting is None or waiting.done():  # nobody wants to know any more
                return
            if message["answer"] is None:
                waiting.set_exception(AnswerFailed())
            else:
                waiting.set_result(message["answer"])
            return
        task = asyncio.create_task(self._reply(message["what"], message["content"], message.get("question")))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _reply(self, what: str, content: Content, question: int | None) -> None:
        answer: Content | None = None
        try:
            answer = await self._answer(what, content) or {}
        except Exception as error:
            log.error("message not answered", what=what, exc_info=error)
        if question is not None:
            with suppress(ChannelClosed):
                await self._send({"to": question, "answer": answer})

    def close(self) -> None:
        """Tell and ask no more; who waits for an answer gets `ChannelClosed`."""
        self._reading.cancel()
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ChannelClosed())
                waiting.exception()  # whoever waits may be about to be told by other means
        if not self.closed.done():
            self.closed.set_result(None)
