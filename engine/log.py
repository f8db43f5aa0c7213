"""The logger of this room; whoever runs it says where lines go, see `service.telemetry.logs`."""

import structlog

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
