"""`digits serve`: one process that answers calls, or several under a supervisor."""

import asyncio
import sys

from service.config import Settings
from service.lifecycle import StartError
from service.observe.logs import close_logs, configure_logs
from service.runtime.cores import usable_cores

__all__ = ["StartError", "serve"]


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then end the process: with 0, or 1 when a second signal cut the end short.

    Raises `StartError`.
    """
    configure_logs(settings.log_level, settings.log_format)
    workers = settings.workers or usable_cores()
    try:
        if workers == 1:
            from service.process import run_and_exit, serve_alone

            run_and_exit(serve_alone(settings))
        else:
            from service.workers.supervisor import Supervisor

            sys.exit(asyncio.run(Supervisor(settings, workers).run()))
    finally:
        close_logs()
