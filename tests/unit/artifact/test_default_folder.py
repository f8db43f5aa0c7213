"""Which models folder is meant when none is named."""

from pathlib import Path

import pytest

from artifact.default_folder import default_folder
from service.config import read_settings
from tests.support.server import MODELS


def test_the_installed_models_are_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """In a folder that has no models; in a checkout they are those of the repository."""
    monkeypatch.chdir(tmp_path)
    assert default_folder() == MODELS
    monkeypatch.delenv("DIGITS_MODELS", raising=False)
    assert read_settings({}).models == read_settings({}, only=("port",)).models == MODELS


def test_models_in_the_current_folder_come_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """They are where `digits train` and `digits export` put a model."""
    (tmp_path / "models").mkdir()
    monkeypatch.chdir(tmp_path)
    assert default_folder() == Path("models")
    monkeypatch.delenv("DIGITS_MODELS", raising=False)
    assert read_settings({}).models == Path("models")
