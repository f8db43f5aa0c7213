"""Several networks of one recipe, fitted one after the other; their scores are averaged, and then made chances.

That the mean of networks that differ in nothing but their seeds is better than each of them, and knows better
what it does not know: B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive Uncertainty
Estimation using Deep Ensembles", NeurIPS 2017.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from artifact.store import VersionFolder
from training.data.dataset import Dataset, DatasetError, Part
from training.data.inputs import scaled
from training.evaluate.calibration import at_temperature, calibration, tempered
from training.evaluate.detector import Curve, fit_detector
from training.evaluate.ensemble_evaluation import hold_against
from training.export.checks import Description
from training.export.export import export
from training.fit.fit import Fitted, fit
from training.fit.progress import Say, progress
from training.recipes import Recipe
from training.report.report import write_report


def train_committee(
    recipe: Recipe, dataset: Dataset, models: Path, *, description: Description, unfinished: Path, say: Say
) -> VersionFolder:
    """Make one version of a recipe with `member_seeds`.

    The networks learn from all training images but the last `recipe.calibration`. On those the temperature is
    fitted, there the thresholds of the candidates are found and what tells digits from other images, and there the
    committee gets its validation figure; there is no rehearsal. `description` lacks what the fits find out;
    `unfinished` is the folder with a checkpoint for each network. Raises `DatasetError` when there are too few
    images.
    """
    learning, held_out = _split(recipe, dataset)
    fits = _fit_all(recipe, dataset, learning, held_out, unfinished)
    networks = [each.classifier for each in fits]
    found = hold_against(_scores(recipe, networks, held_out), held_out.labels)
    say(
        f"{recipe.key}: {found.together[-1]:.2%} of {found.images} held-out images right, "
        f"{np.mean(found.alone):.2%} by one network; temperature {found.temperature:.4f}"
    )

    inputs = partial(scaled, pixel_scale=recipe.pixel_scale, pixel_offset=recipe.pixel_offset)
    detector = fit_detector(networks, held_out.pixels, description, inputs)

    def report(path: Path, card: Card, scores: NDArray[Any], curves: Mapping[str, Curve]) -> None:
        write_report(
            path,
            card,
            test=dataset.test,
            scores=scores,
            first_weights=networks[0].coefs_[0],
            losses={
                "the first network: images learned from": fits[0].losses,
                "the first network: held-out images": fits[0].validation_losses,
            },
            recipe=recipe,
            held_out=found,
            untempered=calibration(tempered(_scores(recipe, networks, dataset.test), 1.0), dataset.test.labels),
            curves=curves,
        )

    return export(
        [at_temperature(network, found.temperature) for network in networks],
        dataset.test.pixels,
        dataset.test.labels,
        dataclasses.replace(
            description,
            recipe=description.recipe | found.figures,
            temperature=found.temperature,
            thresholds=found.thresholds,
        ),
        models,
        detector=detector,
        force=True,
        report=report,
    )


def _split(recipe: Recipe, dataset: Dataset) -> tuple[Part, Part]:
    """What the networks learn from, and what is held out."""
    rows = len(dataset.train) - recipe.calibration
    if recipe.calibration < 1 or rows < len(dataset.classes):
        raise DatasetError(
            f"{recipe.key} holds out {recipe.calibration} training images, and {dataset.name} has {len(dataset.train)}"
        )
    return dataset.train[:rows], dataset.train[rows:]


def _fit_all(recipe: Recipe, dataset: Dataset, learning: Part, held_out: Part, unfinished: Path) -> list[Fitted]:
    """The networks in the order of their seeds; one whose checkpoint is finished is only read."""
    fits = []
    for number, seed in enumerate(recipe.member_seeds, start=1):
        with progress(f"{recipe.key} network {number} of {len(recipe.member_seeds)}", recipe.epochs) as on_epoch:
            fitted = fit(
                recipe.member(seed),
                dataset,
                learning,
                seed=seed,
                checkpoint=unfinished / f"member-{seed}.checkpoint",
                validation=held_out,
                on_epoch=on_epoch,
            )
        fits.append(fitted)
    return fits


def _scores(recipe: Recipe, networks: Sequence[Any], part: Part) -> NDArray[np.float64]:
    """Of each network, [networks, N, classes]."""
    inputs = scaled(part.pixels, pixel_scale=recipe.pixel_scale, pixel_offset=recipe.pixel_offset)
    return np.stack([network.predict_proba(inputs) for network in networks])
