"""`digits serve`: one process that answers calls, or several under a supervisor."""

import asyncio
import sys

from engine.cpus import usable_cores
from service.config import Settings
from service.process.malloc import use_one_arena
from service.process.open_files import connections_within, raise_limit
from service.signals import StartError
from service.telemetry.logs import close_logs, configure_logs

__all__ = ["StartError", "serve"]


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT, then exit: with 0, or with 1 if a second signal cut the shutdown short.

    Raises `StartError`.
    """
    use_one_arena()
    configure_logs(settings.log_level, settings.log_format)
    raise_limit()
    ports = 2 if settings.front == "grpcio" and settings.http_port >= 0 else 1  # Envoy counts both together
    most = connections_within(settings.max_connections, ports)
    settings = settings.model_copy(update={"max_connections": most})
    workers = settings.workers or usable_cores()
    try:
        if settings.front == "envoy":
            _supervise_envoy(settings, workers)
        elif workers > 1:
            from service.workers.supervisor import Supervisor

            sys.exit(asyncio.run(Supervisor(settings, workers).run()))
        else:
            from service.process.alone import serve_alone
            from service.process.process import run_and_exit

            run_and_exit(serve_alone(settings))
    finally:
        close_logs()


def _supervise_envoy(settings: Settings, workers: int) -> None:
    from service.transports.envoy.program import EnvoyMissing, EnvoyProgram, check_envoy
    from service.workers.supervisor import Supervisor

    try:
        check_envoy()
    except EnvoyMissing as error:
        raise StartError(str(error)) from None
    sys.exit(asyncio.run(Supervisor(settings, workers, lambda number: EnvoyProgram()).run()))
