"""Digits of other people and real letters come in the form of MNIST."""

from types import SimpleNamespace

import numpy as np
import pytest

from training.data.dataset import Dataset, DatasetError, Part
from training.data.sources import more_digits
from training.data.sources.more_digits import ATTRIBUTIONS, LETTERS, read_digits, read_letters
from training.data.sources.pen import SIDE, draw_curve, smooth

FORM = SimpleNamespace(rows=28, cols=28, pixel_max=255, preparation="mass")


@pytest.mark.parametrize("source", ATTRIBUTIONS)
def test_digits_are_prepared_like_those_that_are_served(source: str):
    """Bright on dark in a box of 20×20, the middle of the ink in the middle, in the same order each time."""
    part = read_digits(source, FORM, most=12)
    again = read_digits(source, FORM, most=5)
    np.testing.assert_array_equal(again.pixels, part.pixels[:5])
    np.testing.assert_array_equal(again.labels, part.labels[:5])
    assert (part.pixels.shape, part.pixels.dtype, part.labels.dtype) == ((12, 784), np.uint8, np.int64)
    assert len(set(part.labels.tolist())) > 3
    for image in part.pixels.reshape(-1, 28, 28).astype(float):
        rows, cols = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
        assert 17 <= max(np.ptp(rows), np.ptp(cols)) <= 21
        assert image.max() == 255
        assert image.mean() < 100
        assert image.sum(axis=1) @ np.arange(28) / image.sum() == pytest.approx(14, abs=1)


def test_letters_come_by_name():
    found = read_letters(FORM, ["minus"], most=6).reshape(-1, 28, 28)
    assert (found[:, 4] == 0).all()
    assert found.any(axis=(1, 2)).all()
    others = read_letters(FORM, ["w", "x"], most=6).reshape(-1, 28, 28)
    assert (others.any(axis=2).sum(axis=1) > 8).all()


def test_the_file_holds_what_its_page_says():
    """Each source has its number of digits, and its author and licence stand beside it."""
    arrays = more_digits._read()
    page = more_digits.FILE.with_name("README.md").read_text()
    assert sum(len(arrays[f"{source}_labels"]) for source in ATTRIBUTIONS) == 20_922
    for source, attribution in ATTRIBUTIONS.items():
        line = next(line for line in page.splitlines() if line.startswith(f"| `{source}` |"))
        assert f"| {len(arrays[f'{source}_labels']):,} |" in line
        assert ("MIT" in line) == attribution.endswith("MIT")
        assert ("CC BY 4.0" in line) == attribution.endswith("CC BY 4.0")
    assert f"| `{LETTERS}` | {len(arrays[LETTERS]):,} |" in page


def test_an_unknown_source_and_another_file_are_named(tmp_path, monkeypatch):
    with pytest.raises(DatasetError, match="no source 'emnist'; known are bhmsds, hwd1000"):
        read_digits("emnist", FORM)
    monkeypatch.setattr(more_digits, "FILE", tmp_path / "more-digits.npz")
    with pytest.raises(DatasetError, match=r"more-digits\.npz cannot be read"):
        read_digits("bhmsds", FORM)
    (tmp_path / "more-digits.npz").write_bytes(b"")
    with pytest.raises(DatasetError, match="its SHA-256 differs"):
        read_digits("bhmsds", FORM)


def test_curves_pass_through_their_points():
    points = np.array([(0.0, 0.0), (1.0, 0.2), (0.4, 1.0), (0.0, 0.5)])
    curve = smooth(points)
    assert len(curve) == 37
    np.testing.assert_allclose(curve[::12], points, atol=1e-12)
    lines = smooth(points, 0)
    np.testing.assert_allclose(lines[:13], np.linspace(points[0], points[1], 13), atol=1e-12)
    np.testing.assert_allclose(smooth(points, 0.5), (lines + curve) / 2, atol=1e-12)
    straight = smooth(np.array([(0.0, 0.0), (0.5, 0.5), (1.0, 1.0)]))
    np.testing.assert_allclose(straight[:, 0], straight[:, 1], atol=1e-12)


def test_points_of_a_pen_count_from_the_lower_edge(monkeypatch):
    """A bar at 100 and a stem down to 0 are a T."""
    bar, stem = [(0, 100), (30, 100), (60, 100), (100, 100)], [(50, 100), (50, 60), (50, 30), (50, 0)]
    arrays = {"pendigits_points": np.array([bar + stem], np.uint8), "pendigits_labels": np.array([7], np.uint8)}
    monkeypatch.setattr(more_digits, "_read", lambda: arrays)
    [image] = read_digits("pendigits", FORM).pixels.reshape(-1, 28, 28)
    widths = (image > 100).sum(axis=1)
    assert widths.argmax() < 10
    assert widths[16:22].max() < 6


def test_pens_have_widths():
    """Twice as wide, about twice as much ink; dark on light with a margin."""
    points = np.array([(0.1, 0.0), (0.5, 0.5), (0.9, 1.0)])
    thin, thick = (255.0 - draw_curve(points, width) for width in (0.06, 0.12))
    assert thin.shape == (SIDE, SIDE)
    assert thick.sum() / thin.sum() == pytest.approx(2, rel=0.2)
    assert thick[:10].sum() == 0


def test_each_source_gives_the_same_share_to_those_held_out():
    """The last rows of each; what is learned and what is held out are all there is."""

    def part(first: int, count: int) -> Part:
        return Part(np.arange(first, first + count, dtype=np.uint8)[:, None], np.zeros(count, np.int64))

    named = {"name": "own", "rows": 1, "cols": 1, "pixel_max": 255, "classes": ("a", "b")}
    data = Dataset(train=part(0, 60), validation_rows=10, test=part(200, 3), more={"x": part(60, 30)}, **named)
    learning, held_out = data.split(20)
    assert {name: each.pixels.ravel().tolist() for name, each in held_out.items()} == {
        "own": list(range(40, 60)),
        "x": list(range(80, 90)),
    }
    assert sorted(learning.pixels.ravel().tolist()) == [*range(40), *range(60, 80)]
    assert data.sha256 == Dataset(train=part(0, 60), validation_rows=10, test=part(200, 3), **named).sha256
