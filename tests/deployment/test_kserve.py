"""The manifests for KServe against its published schemas."""

from pathlib import Path

import pytest
import yaml

from tests.foreign.environments import KSERVE, python_with, run_script
from tests.support.processes import ROOT

FOLDER = ROOT / "deploy" / "kserve"


@pytest.fixture(scope="module")
def python() -> Path:
    return python_with("kserve", *KSERVE)


def test_the_manifests_are_valid(python: Path):
    """Strictly: a field that KServe does not know is a mistake."""
    assert run_script(python, "kserve_manifests.py", *sorted(FOLDER.glob("*.yaml"))) == "all well\n"


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda spec: spec["containers"][0].update(argz=[]), "containers\\[0\\] has no field argz"),
        (lambda spec: spec.update(protocolVersions="v2"), "protocolVersions is no list"),
        (lambda spec: spec.pop("containers"), "containers"),
    ],
)
def test_a_mistake_is_found(python: Path, tmp_path: Path, spoil, sentence: str):
    """The check can fail."""
    document = yaml.safe_load((FOLDER / "serving-runtime.yaml").read_text())
    spoil(document["spec"])
    (tmp_path / "spoilt.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(AssertionError, match=sentence):
        run_script(python, "kserve_manifests.py", tmp_path / "spoilt.yaml")
