"""What a worker process runs, and how it is told to end: all that a supervisor knows of a front."""

import sys
from typing import Protocol

from service.config import Settings


class Launcher(Protocol):
    """Of one worker process."""

    def command(self, settings: Settings) -> tuple[list[str], dict[str, str]]:
        """What to execute, and what its environment has beside the settings and `service.workers.environment`.

        The process has a `service.workers.link.SupervisorLink`, by which it joins, tells that it serves, and is
        asked and told.
        """

    async def drain(self, grace: float) -> None:
        """Whatever lets calls in flight end within `grace` seconds before the process gets SIGTERM.

        It has been told to end by its channel at this time.
        """


class PythonProgram:
    """`service.process.worker_main`: drains by itself on a request to shut down, then exits."""

    def command(self, settings: Settings) -> tuple[list[str], dict[str, str]]:
        """See `Launcher`."""
        # Without -P a folder `service` where the server was started would be taken for ours.
        return [sys.executable, "-P", "-m", "service.process.worker_main"], {}

    async def drain(self, grace: float) -> None:
        """Nothing: SIGTERM means the same to it."""
