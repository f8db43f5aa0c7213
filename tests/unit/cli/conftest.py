"""What the command line shows does not depend on the front, so it is tested on the default one."""

from collections.abc import Iterator

import pytest

from tests.conftest import servers_of
from tests.support.server import MODELS, Server, StartServer


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """See `servers_of`."""
    with servers_of("grpcio") as start:
        yield start


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """As for all other tests."""
    with servers_of("grpcio") as start:
        yield start(models=MODELS)
