"""What is learned from changes in each epoch, by as much as it is meant to."""

import dataclasses

import numpy as np
import pytest

from training.data.augment import Distortion, SharedDistortion, augment

STILL = Distortion(rotation=0, scale=0, shear=0, shift=0, alpha=0, sigma=4)
SIZE, IMAGES = 29, 400


def distorted(images: np.ndarray, distortion: Distortion, seed: int = 1) -> np.ndarray:
    return augment(images, distortion, rows=SIZE, cols=SIZE, random=np.random.default_rng(seed))


@pytest.fixture(scope="module")
def ramps() -> dict[str, np.ndarray]:
    """Images whose pixels say where they are: 100 + row, and 100 + column."""
    down, across = np.mgrid[0:SIZE, 0:SIZE].astype(np.float32) + 100
    return {"rows": np.tile(down.ravel(), (IMAGES, 1)), "cols": np.tile(across.ravel(), (IMAGES, 1))}


def sources(ramps: dict[str, np.ndarray], distortion: Distortion) -> tuple[np.ndarray, np.ndarray]:
    """How far from its place, down and across, each pixel of the middle comes from: [IMAGES, 9, 9] each."""
    middle = slice(SIZE // 2 - 4, SIZE // 2 + 5)
    moved = []
    for name in ("rows", "cols"):
        change = distorted(ramps[name], distortion) - ramps[name]
        moved.append(change.reshape(IMAGES, SIZE, SIZE)[:, middle, middle])
    return moved[0], moved[1]


def test_warps():
    """A warp of no extent changes nothing; others move ink a little and keep order, shape and range."""
    images = np.zeros((40, 12, 9), np.float32)
    images[np.arange(40), 2 + np.arange(40) % 8, 4] = 16
    images = images.reshape(40, 108)
    still = SharedDistortion(rotation=0, scale=0, shear=0, shift=0, elastic=0, group=7)
    same = augment(images, still, rows=12, cols=9, random=np.random.default_rng(1))
    np.testing.assert_allclose(same, images, atol=1e-5)
    moving = dataclasses.replace(still, rotation=10, scale=0.1, shear=0.1, shift=1, elastic=0.3)
    moved = augment(images, moving, rows=12, cols=9, random=np.random.default_rng(1))
    assert moved.dtype == np.float32
    assert moved.shape == images.shape
    assert moved.min() >= 0
    assert moved.max() <= 16.001
    assert np.abs(moved - images).max() > 1
    rows = np.arange(108) // 9
    centre = (moved @ rows) / moved.sum(axis=1)
    np.testing.assert_allclose(centre, 2 + np.arange(40) % 8, atol=2.5)
    again = augment(images, moving, rows=12, cols=9, random=np.random.default_rng(1))
    np.testing.assert_array_equal(moved, again)


def test_a_distortion_of_no_extent_changes_nothing():
    images = np.random.default_rng(3).uniform(0, 255, (5, SIZE * SIZE)).astype(np.float32)
    np.testing.assert_allclose(distorted(images, STILL), images, atol=1e-3)


def test_a_seed_decides_how_images_are_distorted():
    """The same seed gives the same bits, another seed others, and shape and range stay."""
    images = np.random.default_rng(3).uniform(0, 255, (1100, SIZE * SIZE)).astype(np.float32)
    moving = Distortion(rotation=12, scale=0.12, shear=0.12, shift=1.5, alpha=38, sigma=6)
    first, second, other = (distorted(images, moving, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert np.abs(first - other).max() > 100
    assert (first.dtype, first.shape) == (np.float32, images.shape)
    assert first.min() >= 0
    assert first.max() <= 255.001


def test_each_image_is_distorted_for_itself(ramps):
    """Equal images come out different, all of them."""
    alike = distorted(ramps["rows"], dataclasses.replace(STILL, rotation=5))
    assert len({row.tobytes() for row in alike}) == IMAGES


def test_what_comes_from_beyond_the_edge_is_background():
    """Full ink shifted by up to 6 pixels leaves whole rows or columns of 0, and full ink in the middle."""
    moved = distorted(np.full((IMAGES, SIZE * SIZE), 9, np.float32), dataclasses.replace(STILL, shift=6))
    pictures = moved.reshape(IMAGES, SIZE, SIZE)
    assert (pictures[:, 7:-7, 7:-7] == 9).all()
    edges = pictures[:, [0, -1, 14, 14], [14, 14, 0, -1]]
    assert (edges == 0).any(axis=0).all()


def test_shifts_are_drawn_evenly_within_their_bound(ramps):
    """Every pixel of an image moves alike, down and across on their own."""
    down, across = sources(ramps, dataclasses.replace(STILL, shift=1.5))
    for moved in (down, across):
        np.testing.assert_allclose(moved, moved[:, :1, :1] + np.zeros_like(moved), atol=1e-3)
        assert np.abs(moved).max() <= 1.5001
        assert moved[:, 0, 0].std() == pytest.approx(1.5 / 3**0.5, rel=0.1)
    assert abs(np.corrcoef(down[:, 0, 0], across[:, 0, 0])[0, 1]) < 0.2


def test_rotations_turn_about_the_middle_within_their_bound(ramps):
    """The slopes of both ramps are those of one angle, drawn evenly."""
    down, across = sources(ramps, dataclasses.replace(STILL, rotation=12))
    sine = (across[:, -1, 4] - across[:, 0, 4]) / 8
    np.testing.assert_allclose((down[:, 4, -1] - down[:, 4, 0]) / 8, -sine, atol=1e-3)
    np.testing.assert_allclose(down[:, 4, 4], 0, atol=1e-3)
    angle = np.rad2deg(np.arcsin(sine))
    assert np.abs(angle).max() <= 12.001
    assert angle.std() == pytest.approx(12 / 3**0.5, rel=0.1)


def test_scales_and_shears_keep_to_their_bounds(ramps):
    """Height and width change on their own by e to what was drawn; a shear moves columns alone."""
    down, across = sources(ramps, dataclasses.replace(STILL, scale=0.12))
    high, wide = np.log1p((down[:, -1, 4] - down[:, 0, 4]) / 8), np.log1p((across[:, 4, -1] - across[:, 4, 0]) / 8)
    for drawn in (high, wide):
        assert np.abs(drawn).max() <= 0.1201
        assert drawn.std() == pytest.approx(0.12 / 3**0.5, rel=0.1)
    assert abs(np.corrcoef(high, wide)[0, 1]) < 0.2
    down, across = sources(ramps, dataclasses.replace(STILL, shear=0.2))
    np.testing.assert_allclose(down, 0, atol=1e-3)
    assert ((across[:, -1, 4] - across[:, 0, 4]) / 8).std() == pytest.approx(0.2 / 3**0.5, rel=0.1)


@pytest.mark.parametrize(("alpha", "sigma"), [(38, 6), (20, 3)])
def test_elastic_displacements_have_the_spread_that_alpha_and_sigma_give(ramps, alpha, sigma):
    """In the middle alpha / (sigma √12π) pixels, alike for near pixels, and not for those 3 sigma apart.

    Noise drawn evenly from -1..1 has the variance 1/3, and a Gaussian blur in the plane leaves 1 / 4πσ² of it.
    """
    for moved in sources(ramps, dataclasses.replace(STILL, alpha=alpha, sigma=sigma)):
        assert moved[:, 4, 4].std() == pytest.approx(alpha / (sigma * (12 * np.pi) ** 0.5), rel=0.15)
        near = np.corrcoef(moved[:, 4, 4], moved[:, 4, 5])[0, 1]
        far = np.corrcoef(moved[:, 4, 0], moved[:, 4, 8])[0, 1]
        assert near > 0.95
        # Two blurred values `apart` pixels from each other share e^(-apart² / 4σ²) of their variance.
        assert far == pytest.approx(np.exp(-((8 / (2 * sigma)) ** 2)), abs=0.15)
