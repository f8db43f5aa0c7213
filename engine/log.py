"""The logger of the engine; `service.telemetry.logs` configures where its lines go."""

import structlog

log: structlog.typing.FilteringBoundLogger = structlog.get_logger()
