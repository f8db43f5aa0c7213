"""The only process of a server."""

import asyncio

from service.config import Settings
from service.process.process import Process
from service.process.servers import Servers
from service.signals import Signals, StartError, first_of
from service.telemetry.logs import log
from service.transports.sockets import page_address


async def serve_alone(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT; returns the exit code. Raises `StartError`.

    It listens while the models load, so that probes can see that it is not ready yet.
    """
    signals = Signals()
    process = Process(settings, lambda app, certificates: Servers(app, settings, certificates))
    ports = await process.listen()
    address = {"host": settings.host, **ports}
    log.info("listening", **address)

    loading = asyncio.create_task(process.load())
    await first_of(loading, signals.first)
    if loading.done():
        try:
            await loading
        except StartError:
            await process.stop(0)
            raise
        page = page_address(settings.host, ports["http_port"], tls=bool(settings.tls_cert))
        log.info("serving", page=page, **address, **process.state())
        await signals.first

    log.info("draining", grace_seconds=settings.grace_seconds)
    stopping = asyncio.create_task(process.stop(settings.grace_seconds))
    await first_of(stopping, signals.second)
    if not stopping.done():
        process.app.close()
        log.warning("stopped at once by a second signal")
        return 1
    await stopping
    log.info("stopped")
    return 0
