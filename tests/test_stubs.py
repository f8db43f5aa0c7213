"""The committed stubs are what `make proto` makes of proto/."""

from pathlib import Path

from stubs.generate import generate
from tests.harness import ROOT


def test_regenerating_the_stubs_changes_nothing(tmp_path: Path):
    """So nobody edited them, and nobody forgot to generate them."""
    (tmp_path / "stubs").mkdir()
    generate(tmp_path)
    made = {path.relative_to(tmp_path): path.read_bytes() for path in tmp_path.rglob("*_pb2.py*")}
    committed = {path.relative_to(ROOT): path.read_bytes() for path in (ROOT / "stubs").rglob("*_pb2.py*")}
    committed = {path: text for path, text in committed.items() if "__pycache__" not in path.parts}
    assert made.keys() == committed.keys()
    assert made == committed
