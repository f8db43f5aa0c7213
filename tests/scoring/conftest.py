"""A server that shares memory with jobs."""

import pytest

from tests.harness import Server, StartServer


@pytest.fixture(scope="session")
def sharing_server(start_server: StartServer) -> Server:
    """One server whose clients may use shared memory, for all tests that leave it as it was."""
    return start_server("--shared-memory=digits-test-")
