"""What the card says of the held-out images of each source."""

import numpy as np
import pytest

from tests.unit.training.evaluate.test_conformal import drawn
from training.evaluate.ensemble_evaluation import evaluate_sources

SIZES = {"easy": 3000, "none": 0, "hard": 2000}


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, float]]:
    """Two sources; what is true in the second has nothing to do with the scores."""
    scores, truth = drawn(5000, 1)
    truth[3000:] = np.random.default_rng(2).integers(0, 5, 2000)
    return evaluate_sources(scores[None], truth, SIZES, 1.0)


def test_each_source_is_judged_by_its_own_images(found):
    """A fifth of guesses is right, and a source without images is left out."""
    assert list(found) == ["easy", "hard"]
    assert [each["images"] for each in found.values()] == [3000, 2000]
    assert found["hard"]["accuracy"] == pytest.approx(0.2, abs=0.03)
    assert found["easy"]["accuracy"] > 0.6
    assert found["hard"]["calibration_error"] > 0.5 > found["easy"]["calibration_error"]


def test_coverage_is_kept_for_the_data_set_and_for_the_others(found):
    """By thresholds of other images: the hard ones have what was asked for, the easy ones more."""
    for coverage in (0.9, 0.95, 0.99):
        covered = {source: each[f"covered_at_{coverage}"] for source, each in found.items()}
        assert covered["hard"] == pytest.approx(coverage, abs=0.02)
        assert covered["easy"] > coverage


def test_thresholds_come_from_other_images():
    """Two images that no other is like: by thresholds of their own each would be covered."""
    scores = np.tile([0.9, 0.1], (4000, 1))
    truth = np.zeros(4000, int)
    truth[1::2] = 1
    found = evaluate_sources(scores[None], truth, {"all": 4000}, 1.0)
    assert found["all"]["covered_at_0.9"] == 0.5
