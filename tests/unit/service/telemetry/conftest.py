"""The app whose calls are counted."""

from collections.abc import AsyncIterator

import pytest

from service.app import App
from tests.unit.service.telemetry.counting import settings


@pytest.fixture
async def app() -> AsyncIterator[App]:
    async with App.open(settings()) as opened:
        yield opened
