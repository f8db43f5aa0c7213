"""What a request of the Open Inference Protocol says of who shall answer it, and until when."""

import asyncio
import re
import time
from collections.abc import Mapping
from typing import Any

from digits_protocol.inference import open_inference_pb2 as pb

from engine.errors import DeadlinePassed, InvalidInput, quoted
from engine.models.repository import Repository
from engine.models.version import Version
from service.api.method import Context

# What a version can be: more digits are beyond the protocol's 64 bits.
_NUMBER = re.compile("[0-9]{1,18}")


def check_version(version: str, field: str = "version") -> None:
    """Raise `InvalidInput` with `field` for a version that is no number; it need not exist."""
    if version and not _NUMBER.fullmatch(version):
        raise InvalidInput(
            field, f"is {quoted(version)}, expected a whole number in decimal, or nothing for the newest"
        )


async def find_version(repository: Repository, name: str, version: str, field: str = "version") -> Version:
    """The ready version that a request means. Raises as `check_version` and `Repository.find_loaded` do."""
    check_version(version, field)
    return await repository.find_loaded(name, version)


def read_timeout(parameters: Mapping[str, pb.InferParameter]) -> float | None:
    """How long a request may take by its parameter `timeout`, in seconds; None for as long as it likes.

    Clients count microseconds there, and 0 and what is negative bounds nothing. Raises `InvalidInput`.
    """
    if "timeout" not in parameters:
        return None
    given = parameters["timeout"]
    if given.WhichOneof("parameter_choice") != "int64_param":
        raise InvalidInput("parameters[timeout]", "is no int64_param, expected one of microseconds, 0 for no bound")
    return given.int64_param / 1e6 if given.int64_param > 0 else None


def hasten(context: Context, timeout: float | None) -> None:
    """Bring the deadline of a call forward to `timeout` seconds from now, where that is sooner."""
    if timeout is not None:
        context.deadline = min(time.monotonic() + timeout, context.deadline or float("inf"))


def end_in_time(future: asyncio.Future[Any], context: Context, timeout: float | None) -> None:
    """Let the `future` of a call that has a `timeout` end at its deadline, of which no transport knows.

    It ends with `DeadlinePassed`; rows that still wait are dropped.
    """
    if timeout is not None and context.deadline is not None:
        timer = future.get_loop().call_later(context.deadline - time.monotonic(), _expire, future)
        future.add_done_callback(lambda _: timer.cancel())


def _expire(future: asyncio.Future[Any]) -> None:
    if not future.done():
        future.set_exception(DeadlinePassed("the deadline passed before the images were scored"))
