"""Classifiers that strangers might bring, fitted on the spot."""

import dataclasses
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from training.data.inputs import scale_pixels
from training.export.checks import Description


@dataclasses.dataclass(frozen=True)
class Stranger:
    """A fitted classifier with its test data and what its card shall say."""

    classifier: MLPClassifier
    pixels: np.ndarray
    labels: np.ndarray
    description: Description

    def inputs(self) -> np.ndarray:
        """What the classifier is given for the test pixels."""
        about = self.description
        return scale_pixels(self.pixels, pixel_scale=about.pixel_scale, pixel_offset=about.pixel_offset)


MakeStranger = Callable[..., Stranger]


@pytest.fixture
def make_stranger() -> MakeStranger:
    """Fit a classifier on blurred templates, one for each class."""

    def make(
        classes: list | np.ndarray = tuple(range(5)),
        *,
        activation: str = "tanh",
        hidden: tuple[int, ...] = (9, 7, 6),
        rows: int = 12,
        cols: int = 9,
        pixel_max: int = 200,
        pixel_offset: float = 20.0,
        images: int = 240,
        seed: int = 1,
    ) -> Stranger:
        random = np.random.default_rng(7)
        templates = random.integers(0, pixel_max + 1, (len(classes), rows * cols))
        positions = np.arange(images) % len(classes)
        noise = random.integers(0, pixel_max + 1, (images, rows * cols))
        pixels = ((2 * templates[positions] + noise) // 3).astype(np.uint8)
        labels = np.array(classes)[positions]
        about = Description(
            name="stranger",
            version=3,
            rows=rows,
            cols=cols,
            pixel_max=pixel_max,
            preparation="mass",
            dataset="templates",
            dataset_sha256="0" * 64,
            pixel_scale=1 / pixel_max,
            pixel_offset=pixel_offset,
        )
        classifier = MLPClassifier(hidden, activation=activation, max_iter=12, random_state=seed)
        with warnings.catch_warnings(action="ignore"):
            classifier.fit(scale_pixels(pixels, pixel_scale=about.pixel_scale, pixel_offset=about.pixel_offset), labels)
        return Stranger(classifier, pixels, labels, about)

    return make
