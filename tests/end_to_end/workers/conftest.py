"""The server of two workers that tests share."""

import pytest

from tests.end_to_end.workers.two_workers import CREW
from tests.support.server import Server, StartServer


@pytest.fixture(scope="module")
def crew(start_for_module: StartServer) -> Server:
    """A server of two workers, for tests that leave no change behind but a worker that was restarted."""
    return start_for_module(*CREW)
