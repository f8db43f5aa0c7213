"""What the command line shows does not depend on the front."""

import pytest


@pytest.fixture(scope="session")
def front() -> str:
    """The default one."""
    return "grpcio"
