"""The committed digits_protocol is what `make proto` makes of proto/."""

from pathlib import Path

from scripts.generate_protocol import generate
from tests.support.processes import ROOT


def test_regenerating_the_stubs_changes_nothing(tmp_path: Path):
    """So nobody edited them, and nobody forgot to generate them."""
    (tmp_path / "digits_protocol").mkdir()
    generate(tmp_path)
    made, committed = _generated(tmp_path), _generated(ROOT / "client")
    assert made.keys() == committed.keys()
    assert made == committed


def _generated(root: Path) -> dict[Path, bytes]:
    return {
        path.relative_to(root): path.read_bytes()
        for pattern in ("*_pb2.py", "*_pb2.pyi", "*.binpb")
        for path in (root / "digits_protocol").rglob(pattern)
    }
