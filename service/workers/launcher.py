"""What a worker process executes: all that a supervisor knows of a transport."""

import sys
from typing import Protocol

from service.config import Settings


class Launcher(Protocol):
    """Of one worker process."""

    def command(self, settings: Settings) -> tuple[list[str], dict[str, str]]:
        """The command line, and the environment beside the settings and `service.workers.environment`.

        The process opens a `service.workers.link.SupervisorLink`, and ends by itself when shutdown is requested there.
        """


class PythonProgram:
    """`service.process.worker_main`."""

    def command(self, settings: Settings) -> tuple[list[str], dict[str, str]]:
        """See `Launcher`."""
        # One heap, as `service.process.malloc.use_one_arena`.
        # Without -P a folder `service` where the server was started would be taken for ours.
        return [sys.executable, "-P", "-m", "service.process.worker_main"], {"MALLOC_ARENA_MAX": "1"}
