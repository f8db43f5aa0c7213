"""Messages between a supervisor and a worker, both ways over one socket.

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
    """The other side has closed the channel."""


class AnswerFailed(Exception):
    """The other side failed to answer; its log has the cause."""


class IpcConnection:
    """One end of a channel. Belongs to one event loop; either end may ask back before it answers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer) -> None:
        self._reader = reader
        self._writer = writer
        self._answer = answer
        self._numbers = itertools.count()
        self._waiting: dict[int, asyncio.Future[Content]] = {}
        self._answering: set[asyncio.Task[None]] = set()
        self._reading = asyncio.create_task(self._read())
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        """Done when the channel is closed."""

    @classmethod
    async def open(cls, connected: socket.socket, answer: Answer) -> Self:
        """A channel over a connected stream socket; `answer(what, content)` handles each message of the other end."""
        reader, writer = await asyncio.open_connection(sock=connected)
        return cls(reader, writer, answer)

    async def tell(self, what: str, **content: Any) -> None:
        """Send a message without an answer. Raises `ChannelClosed`."""
        await self._send({"what": what, "content": content})

    async def ask(self, what: str, **content: Any) -> Content:
        """Send a question and return its answer. Raises `ChannelClosed` and `AnswerFailed`."""
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
            if waiting is None or waiting.done():  # the caller was cancelled
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
        """Close the channel; pending questions raise `ChannelClosed`."""
        self._reading.cancel()
        self._writer.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ChannelClosed())
                waiting.exception()  # marks it as retrieved: the caller may have been cancelled
        if not self.closed.done():
            self.closed.set_result(None)
