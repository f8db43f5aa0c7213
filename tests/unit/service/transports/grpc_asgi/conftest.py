"""A table of methods, and the application that serves it, with its fast path and without."""

from typing import Any

import pytest

from tests.unit.service.transports.grpc_asgi.under_pyvoy import Table, UnderPyvoy


@pytest.fixture
async def table() -> Table:
    return Table()


@pytest.fixture(params=["asgi", "fast path"])
async def front(table: Table, request: pytest.FixtureRequest) -> Any:
    front = table.front()
    return front if request.param == "asgi" else UnderPyvoy(front, table.methods)
