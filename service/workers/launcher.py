"""What a worker process executes: all that a supervisor knows of a transport."""

import sys
from pathlib import Path
from typing import Protocol

from service.config import Settings


class Launcher(Protocol):
    """Of one worker process."""

    def command(self, settings: Settings) -> tuple[list[str], dict[str, str], Path | None]:
        """The command line, the environment beside the settings and `service.workers.environment`, and a folder.

        The process runs in that folder; None: in that of this process. Paths among its settings are absolute.
        The process opens a `service.workers.link.SupervisorLink`, and ends by itself when shutdown is requested there.
        """


class PythonProgram:
    """`service.process.worker_main`."""

    def command(self, settings: Settings) -> tuple[list[str], dict[str, str], Path | None]:
        """See `Launcher`."""
        # One heap, as `service.process.malloc.use_one_arena`.
        # Without -P a folder `service` where the server was started would be taken for ours.
        return [sys.executable, "-P", "-m", "service.process.worker_main"], {"MALLOC_ARENA_MAX": "1"}, None
