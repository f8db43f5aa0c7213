"""A network for the 8×8 digits that knows how sure it is, fitted on the spot in a second or a few."""

import warnings
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPClassifier

from artifact.store import VersionFolder
from training.data.datasets import digits
from training.data.inputs import scale_pixels
from training.evaluate.conformal import find_thresholds
from training.evaluate.detector import fit_detector
from training.export.checks import Description
from training.export.export import export

SCALE = {"pixel_scale": 1 / 16, "pixel_offset": 5.0}


def export_sure(
    out: Path,
    labels: Sequence[int] = range(10),
    thresholds: tuple[float, ...] | None = None,
    *,
    detects_outliers: bool = False,
) -> VersionFolder:
    """The model `sure` below `out`; `labels` are what it calls the digits, ascending.

    Without `thresholds` it gets those of the images that it has not learned from. With `detects_outliers` it tells
    digits from other images.
    """
    data = digits()
    learning, held_out, called = data.train[:900], data.train[900:], np.array(labels)
    classifier = MLPClassifier((24,), batch_size=50, max_iter=20, random_state=1)
    with warnings.catch_warnings(action="ignore"):
        classifier.fit(scale_pixels(learning.pixels, **SCALE), called[learning.labels])
    if thresholds is None:
        thresholds = find_thresholds(classifier.predict_proba(scale_pixels(held_out.pixels, **SCALE)), held_out.labels)
    about = Description(
        name="sure",
        version=1,
        rows=8,
        cols=8,
        pixel_max=16,
        preparation="blocks",
        dataset="digits",
        dataset_sha256=data.sha256,
        thresholds=thresholds,
        **SCALE,
    )
    inputs = partial(scale_pixels, **SCALE)
    detector = fit_detector([classifier], held_out, about, inputs) if detects_outliers else None
    return export(classifier, data.test.pixels, called[data.test.labels], about, out, detector=detector)
