"""The file of tokens that tests share."""

from pathlib import Path

import pytest

from tests.end_to_end.security.tokens import ANNA, BEN, write


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Anna and Ben may call."""
    file = tmp_path_factory.mktemp("tokens") / "tokens"
    write(file, anna=ANNA, ben=BEN)
    return file
