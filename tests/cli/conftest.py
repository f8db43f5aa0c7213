"""What the command line shows does not depend on the front, so it is tested on the default one."""

from collections.abc import Iterator

import pytest

from tests.conftest import servers_of
from tests.harness import Server, StartServer


# Both fixtures stand here anew: those of a wider scope would keep the front they were first made for.
@pytest.fixture(scope="session")
def start_server() -> Iterator[StartServer]:
    """See `servers_of`."""
    yield from servers_of("grpcio")


@pytest.fixture(scope="session")
def server(start_server: StartServer) -> Server:
    """As for all other tests."""
    return start_server()
