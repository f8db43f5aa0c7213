"""The models folder that tests of repositories change."""

from pathlib import Path

import pytest

from tests.support.repositories import place
from tests.unit.engine.loading import NAME


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A models folder with one version."""
    place(tmp_path, NAME, 1)
    return tmp_path
