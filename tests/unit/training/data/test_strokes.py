"""Strokes are changed as bounds say, and nothing else is."""

from dataclasses import replace

import numpy as np
import pytest

from training.data.strokes import StrokeChanges, change_strokes

SIZE, IMAGES = 20, 300
NONE = StrokeChanges(share=1, thinner=0, thicker=0, blur=0, noise=0, gap=0)
ALL = StrokeChanges(share=0.5, thinner=0.7, thicker=0.7, blur=0.7, noise=0.15, gap=1.5)


@pytest.fixture(scope="module")
def bars() -> np.ndarray:
    """Upright bars, three pixels wide and twelve high, of 200."""
    images = np.zeros((IMAGES, SIZE, SIZE), np.float32)
    images[:, 4:16, 8:11] = 200
    return images.reshape(IMAGES, -1)


def changed(images: np.ndarray, changes: StrokeChanges, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    return change_strokes(images, changes, rows=SIZE, cols=SIZE, pixel_max=200, random=random)


def widths(images: np.ndarray) -> np.ndarray:
    """Ink across the middle of each bar, in pixels."""
    return images.reshape(-1, SIZE, SIZE)[:, 9].sum(axis=1) / 200


def test_a_seed_decides_and_range_and_shape_stay(bars):
    before = bars.copy()
    first, again, other = (changed(bars, ALL, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert (first.dtype, first.shape) == (np.float32, bars.shape)
    assert first.min() >= 0
    assert first.max() <= 200.001
    np.testing.assert_array_equal(bars, before)


def test_no_image_and_few_images_are_changed_too(bars):
    """A change may meet none of them."""
    for count in (0, 1, 2):
        for seed in range(20):
            assert changed(bars[:count], replace(ALL, share=1), seed).shape == (count, SIZE * SIZE)


def test_no_bounds_change_nothing_but_a_dot(bars):
    """Without bounds images stay; a gap of radius 0 takes half of one pixel."""
    moved = np.abs(changed(bars, NONE) - bars)
    assert ((moved > 1).sum(axis=1) <= 1).all()
    assert moved.max() <= 100.001
    np.testing.assert_array_equal(changed(bars, replace(ALL, share=0)), bars)


def test_the_share_is_kept(bars):
    found = (changed(bars, replace(ALL, share=0.4)) != bars).any(axis=1).mean()
    assert found == pytest.approx(0.4 * 15 / 16, abs=0.1)


@pytest.mark.parametrize(("bounds", "least", "most"), [({"thinner": 0.8}, 1.39, 3), ({"thicker": 0.8}, 3, 4.61)])
def test_strokes_become_thinner_or_thicker(bars, bounds, least, most):
    """By up to the bound on each side, and full in their middle as before."""
    made = changed(bars, replace(NONE, **bounds))
    middle = widths(made)
    assert middle.min() >= least - 0.6  # the gap of no extent
    assert middle.max() <= most
    assert (np.abs(middle - 3) > 0.5).mean() > 0.05
    assert (made.max(axis=1) > 199).all()


def test_a_blur_keeps_the_ink_and_softens_edges(bars):
    made = changed(bars, replace(NONE, blur=0.8, gap=0)).reshape(-1, SIZE, SIZE)
    softened = made[:, 9, 7] > 10
    assert 0.2 < softened.mean() < 0.6
    np.testing.assert_allclose(made[softened].sum(axis=(1, 2)), 200 * 36, rtol=0.02)


def test_a_blur_spreads_a_point_by_its_deviation():
    """Half of the points stay, the others get variances of up to the bound's square, along either axis."""
    images = np.zeros((IMAGES, SIZE, SIZE), np.float32)
    images[:, 9, 9] = 200
    made = changed(images.reshape(IMAGES, -1), replace(NONE, blur=0.8)).reshape(-1, SIZE, SIZE) / 200
    made = made[made.sum(axis=(1, 2)) > 0.9]  # the others have the gap of no extent on the point
    apart = (np.arange(SIZE) - 9) ** 2
    for variances in (made.sum(axis=2) @ apart, made.sum(axis=1) @ apart):
        assert variances.max() == pytest.approx(0.64, abs=0.04)
        assert variances[variances > 0].mean() == pytest.approx(0.64 / 3, abs=0.06)


def test_noise_is_about_strokes_alone(bars):
    made = changed(bars, replace(NONE, noise=0.3)).reshape(-1, SIZE, SIZE)
    noisy = (np.abs(made - bars.reshape(made.shape)) > 1).sum(axis=(1, 2)) > 5
    assert 0.3 < noisy.mean() < 0.6
    assert (made[:, :, :6] == 0).all()
    assert (made[:, :2] == 0).all()


def test_gaps_are_round_and_lie_on_the_stroke(bars):
    """At most the disc of the bound is missing, in half of the images."""
    lost = (bars - changed(bars, replace(NONE, gap=2))).sum(axis=1) / 200
    assert 0.35 < (lost > 0.4).mean() < 0.65
    assert lost.max() <= np.pi * 2.6**2
    assert lost.max() > 4
