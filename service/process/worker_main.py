"""`python -m service.process.worker_main`: a worker with the default transport, started by the supervisor."""

import asyncio
import os
import signal

from service.config import Settings, read_settings
from service.process.process import run_and_exit
from service.process.servers import Servers
from service.process.worker import work
from service.telemetry.logs import configure_logs
from service.workers.environment import NUMBER
from service.workers.link import SupervisorLink


async def _work(settings: Settings) -> int:
    link = await SupervisorLink.open()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, link.end)
    return await work(settings, link, lambda app, certificates: Servers(app, settings, certificates, shared_port=True))


def main() -> None:
    """Run the worker; ends the process."""
    settings = read_settings({})
    configure_logs(settings.log_level, settings.log_format, int(os.environ[NUMBER]))
    run_and_exit(_work(settings))


if __name__ == "__main__":
    main()
