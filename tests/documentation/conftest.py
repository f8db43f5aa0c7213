"""A server that the tests of pages and of examples share."""

from collections.abc import Iterator

import pytest

from tests.documentation.session import EXAMPLES, Session


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    """The server of a plain `make serve`, in a folder like a clone."""
    session = Session(tmp_path_factory.mktemp("clone"), every_model=EXAMPLES)
    try:
        session.start("make serve")
        yield session
    finally:
        session.close()
