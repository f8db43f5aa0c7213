"""Calls that are answered in callbacks instead of a task, under pyvoy.

Under Envoy, asyncio is half of what Python does for a small call: it makes a task, begins it in a later turn of the
loop, and wakes it twice. pyvoy differs from other ASGI servers in four ways that make the task unnecessary: it calls
the application on the loop, gives its result to `loop.create_task`, receives into a future at once, and sends as soon
as `send` is called.
"""

import asyncio
from typing import Any


class AlreadyStarted:
    """Stands for the task of a call that needs none."""

    def set_name(self, name: object) -> None:
        """Ignore the name that asyncio's loop gives every task in Python 3.13."""

    def add_done_callback(self, callback: Any) -> None:
        """Ignore the callback of pyvoy, which only logs what a task raised."""


STARTED = AlreadyStarted()


def task_or_started(loop: asyncio.AbstractEventLoop, work: Any, **given: Any) -> Any:
    """A task factory, see `asyncio.loop.set_task_factory`, that returns `AlreadyStarted` as it is.

    The arguments of a task in `given` differ between Python's releases: context, name, eager_start.
    """
    return work if work is STARTED else asyncio.Task(work, loop=loop, **given)
