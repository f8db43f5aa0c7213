"""The sentence with which a process does not start."""

import pytest

from service.config import Settings
from service.process.process import Process
from service.signals import StartError


async def start(**settings: object) -> None:
    """All but listening."""
    process = Process(Settings(**settings), lambda app, certificates: None)
    try:
        await process.load()
    finally:
        process.app.close()


async def refusal(**settings: object) -> str:
    """With these settings; that a whole server says it and ends is seen among the tests from end to end."""
    with pytest.raises(StartError) as raised:
        await start(**settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)
