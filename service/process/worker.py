"""One of several processes of a server, whichever transport it has."""

import asyncio
import os

from service.config import Settings
from service.process.process import NewTransport, Process
from service.signals import StartError, first_of
from service.telemetry.logs import log
from service.workers.ipc import ChannelClosed
from service.workers.link import SupervisorLink


async def work(settings: Settings, link: SupervisorLink, new_transport: NewTransport) -> int:
    """Serve until shutdown is requested or the supervisor is gone; returns the exit code.

    A worker listens only when it is ready, so that none of the server's clients is refused by one that starts late.
    """
    try:
        process = Process(settings, new_transport, broadcast=link)
        joining = asyncio.create_task(_load_and_join(process, link))
        await first_of(joining, link.shutdown_requested)
        if not joining.done():
            joining.cancel()
            return 0
        await joining
        await process.listen()
        log.info("worker serving", pid=os.getpid(), **process.state())
        await link.serving(**process.state())
        grace = await link.shutdown_requested
    except StartError as error:
        await link.failed(str(error))
        return 1
    except ChannelClosed:
        return 1
    await process.stop(settings.grace_seconds if grace is None else grace, link.stopped_listening)
    await link.leave()
    log.debug("worker stopped")
    return 0


async def _load_and_join(process: Process, link: SupervisorLink) -> None:
    await process.load()
    await link.join(process.app)
