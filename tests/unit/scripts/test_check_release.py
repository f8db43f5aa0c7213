"""Tag, version and CHANGELOG agree."""

from pathlib import Path

import pytest

from scripts.check_release import faults
from tests.support.processes import ROOT


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Files of a release 1.2.0 that agree."""
    (tmp_path / "client").mkdir()
    (tmp_path / "docs").mkdir()
    text = '[project]\nversion = "1.2.0"\n'
    (tmp_path / "pyproject.toml").write_text(text + '[project.urls]\nRepository = "https://example.org/digits"\n')
    (tmp_path / "client" / "pyproject.toml").write_text(text)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 1.2.0 (2026-11-29)\n\n## 1.1.0 (2026-10-01)\n")
    (tmp_path / "README.md").write_text("pip install digits-1.2.0-py3-none-any.whl\n")
    return tmp_path


def test_this_repository_agrees():
    """Whatever commit it is."""
    assert faults(ROOT, []) == []


def test_a_release_agrees(project: Path):
    assert faults(project, ["v1.2.0"]) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "sentence"),
    [
        ("client/pyproject.toml", "1.2.0", "1.1.0", "client/pyproject.toml has version 1.1.0, expected 1.2.0"),
        ("CHANGELOG.md", "1.2.0", "1.3.0", "CHANGELOG.md begins with 1.3.0, expected 1.2.0"),
        ("CHANGELOG.md", "2026-11-29", "unreleased", "CHANGELOG.md says (unreleased) for 1.2.0, expected the date"),
        ("CHANGELOG.md", "## ", "# ", "CHANGELOG.md has no section"),
        ("README.md", "1.2.0", "1.1.0", "README.md names a wheel of version 1.1.0, expected 1.2.0"),
        ("pyproject.toml", "Repository", "Homepage", "pyproject.toml has no [project.urls] with Repository"),
        ("pyproject.toml", '"1.2.0"', '"1.2.1"', "the tag is v1.2.0, expected v1.2.1"),
    ],
)
def test_what_does_not_agree_is_named(project: Path, name: str, old: str, new: str, sentence: str):
    path = project / name
    path.write_text(path.read_text().replace(old, new))
    assert any(fault.startswith(sentence) for fault in faults(project, ["v1.2.0"]))


def test_between_releases_the_date_is_open(project: Path):
    path = project / "CHANGELOG.md"
    path.write_text(path.read_text().replace("2026-11-29", "unreleased"))
    assert faults(project, []) == []
