"""What is made from the code is as the code is: run `make reference` when one of these fails."""

import numpy as np
import pytest

from docs.generate.__main__ import DOCS, reference
from docs.generate.pictures import drawings, preparation, reading
from tests.support.processes import ROOT

PAGES = reference()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_reference_is_as_the_code_is(name: str):
    assert (DOCS / name).read_text() == PAGES[name]


def test_the_drawings_are_as_the_code_is():
    """Rooms come from the import contract."""
    assert (DOCS / "pictures" / "rooms.svg").read_text() == drawings.rooms()
    assert (DOCS / "pictures" / "call.svg").read_text() == drawings.call()


@pytest.mark.parametrize("measure", preparation.measures(), ids=lambda measure: measure.name)
def test_a_measure_of_the_preparation_does_what_its_strip_shows(measure: preparation.Measure):
    """With it the digit is right; without it the pixels are others, and the digit is wrong or its score lower."""
    on, off = preparation.outcome(measure, on=True), preparation.outcome(measure, on=False)
    assert on.digit == measure.digit
    assert np.abs(on.pixels.astype(float) - off.pixels).mean() > 5
    assert off.digit != measure.digit or off.score < on.score
    assert (DOCS / "pictures" / "preparation" / f"{measure.name}.webp").exists()


@pytest.mark.parametrize("measure", preparation.warned(), ids=lambda measure: measure.name)
def test_a_picture_that_looks_wrong_has_its_warning(measure: preparation.Measure):
    assert preparation.outcome(measure, on=True).codes == (measure.name,)
    assert (DOCS / "pictures" / "preparation" / f"{measure.name}.webp").exists()


def test_the_sheets_are_read_as_the_page_says(tmp_path):
    texts = reading.write(tmp_path)
    assert texts == {"numbers": "\n".join(reading.NUMBERS), "grid": "\n".join(reading.GRID)}
    page = (DOCS / "explanation" / "reading.md").read_text()
    assert all(f"`{line}`" in page for text in texts.values() for line in text.split("\n"))


def test_the_pictures_of_the_documentation_are_small():
    """All of them together."""
    assert sum(path.stat().st_size for path in (DOCS / "pictures").rglob("*") if path.is_file()) < 1_000_000


def test_the_readme_has_the_models_with_their_accuracy():
    """Every committed version, as its card has it, and the whole page within 150 lines."""
    readme = (ROOT / "README.md").read_text()
    assert len(readme.splitlines()) <= 150
    from docs.generate.models import cards

    for folder, card in cards():
        name, version = folder.parent.name, folder.name
        assert f"[{100 * card.accuracy:.2f} %](models/{name}/{version}/report/report.md)" in readme
