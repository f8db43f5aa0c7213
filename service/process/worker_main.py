"""`python -m service.process.worker_main`: one of several processes that answer calls, started by the supervisor."""

import asyncio
import os
import signal

from service.config import Settings, read_settings
from service.process.process import Process, run_and_exit
from service.process.signals import StartError, first_of
from service.telemetry.logs import configure_logs, log
from service.workers.environment import NUMBER
from service.workers.ipc import ChannelClosed
from service.workers.link import SupervisorLink


async def work(settings: Settings) -> int:
    """Be a worker until its supervisor tells it to end, or is gone, or SIGTERM; returns the exit code."""
    control = await SupervisorLink.open()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, control.end)
    try:
        process = Process(settings, broadcast=control)
        starting = asyncio.create_task(_start(process, control))
        await first_of(starting, control.shutdown_requested)
        if starting.done():
            await starting
            grace = await control.shutdown_requested
        else:
            starting.cancel()
            return 0
    except StartError as error:
        await control.failed(str(error))
        return 1
    except ChannelClosed:
        return 1
    await process.drain(settings.grace_seconds if grace is None else grace, control.stopped_listening)
    process.app.close()
    await control.leave()
    log.debug("worker stopped")
    return 0


async def _start(process: Process, control: SupervisorLink) -> None:
    """A worker listens only when it is ready, so that nobody is refused by one that comes later than the others."""
    await process.load()
    await control.join(process.app)
    await process.listen()
    log.info("worker serving", pid=os.getpid(), **process.state())
    await control.serving(**process.state())


def main() -> None:
    """Run the worker; ends the process."""
    settings = read_settings({})
    configure_logs(settings.log_level, settings.log_format, int(os.environ[NUMBER]))
    run_and_exit(work(settings))


if __name__ == "__main__":
    main()
