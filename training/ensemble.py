"""An ensemble: several networks of one recipe, whose scores are averaged and calibrated.

The mean of networks that differ only in their seeds is more accurate than each of them and estimates its
uncertainty better: B. Lakshminarayanan, A. Pritzel, C. Blundell, "Simple and Scalable Predictive Uncertainty
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
from training.data.dataset import Dataset, DatasetError, Part, concatenate
from training.data.inputs import scale_pixels
from training.data.lines import draw_crops
from training.data.sources.more_digits import read_outliers
from training.evaluate.calibration import apply_temperature, evaluate_calibration, with_temperature
from training.evaluate.detector import Curve, draw_fragments, fit_detector
from training.evaluate.ensemble_evaluation import evaluate_ensemble, evaluate_sources
from training.evaluate.reading import evaluate_reading
from training.export.checks import Description
from training.export.export import export
from training.fit.fit import FitResult, fit
from training.fit.progress import Say, progress
from training.recipe import Recipe
from training.report.report import write_report

_LINES_READ = 200  # of digits that stand apart, and as many of digits that touch
_NO_LABELS = np.zeros(0, np.int64)
_DETECTOR_DIGITS = 20_000  # at least so many, where there are, for a detector with a hidden layer of its own


def train_ensemble(
    recipe: Recipe, dataset: Dataset, models: Path, *, description: Description, unfinished: Path, say: Say
) -> VersionFolder:
    """Train one version of a recipe with `member_seeds`.

    The networks learn from all training images but the last `recipe.calibration` and a like share of each further
    source. Those are held out: the temperature, the thresholds of the candidates, the detector and the validation
    accuracy come from them, so there is no validation run. `description` lacks the results of the fits; `unfinished`
    is the folder of the networks' checkpoints. Raises `DatasetError` if there are too few images.
    """
    learning, held_out_parts = _split(recipe, dataset)
    held_out = concatenate(list(held_out_parts.values()))
    crops = None
    if recipe.lines:
        cut = draw_crops(learning, recipe.lines, description, recipe.seed).digits
        say(f"{recipe.key}: {len(cut)} digits cut out of {recipe.lines} lines to learn from")
        learning = concatenate([cut, learning])
        crops = draw_crops(held_out, recipe.lines // 3, description, recipe.seed + 1)
    fits = _fit_all(recipe, dataset, learning, held_out, unfinished)
    networks = [each.classifier for each in fits]
    scores = _scores(recipe, networks, held_out)
    found = evaluate_ensemble(scores, held_out.labels, own=recipe.calibration)
    say(
        f"{recipe.key}: {found.together[-1]:.2%} of {found.images} held-out images right, "
        f"{np.mean(found.alone):.2%} by one network; temperature {found.temperature:.4f}"
    )

    figures = found.figures
    if dataset.more:
        sizes = {source: len(part) for source, part in held_out_parts.items()}
        figures["validation_by_source"] = evaluate_sources(scores, held_out.labels, sizes, found.temperature)
    if dataset.left_out:
        figures["left_out_accuracy"] = _accuracies(recipe, networks, dataset.left_out)
    for source, accuracy in figures.get("left_out_accuracy", {}).items():
        say(f"{recipe.key}: {accuracy:.2%} of the digits of {source} right, none of which it learned from")

    inputs = partial(scale_pixels, pixel_scale=recipe.pixel_scale, pixel_offset=recipe.pixel_offset)
    fitted_outliers, outliers = read_outliers(description) if recipe.real_outliers else (None, {})
    digits = held_out
    if recipe.detector_width:
        outliers = {**draw_fragments(dataset.test, description), **outliers}
    if recipe.detector_width and not recipe.detector_reads_hidden:  # so the digits of the networks may be its own
        digits = learning[:: max(1, len(learning) // _DETECTOR_DIGITS)]
    detector = fit_detector(
        networks,
        digits,
        description,
        inputs,
        fitted_outliers,
        width=recipe.detector_width,
        crops=crops,
        reads_hidden=recipe.detector_reads_hidden,
    )

    if recipe.lines:

        def score(pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            calibrated = apply_temperature(_scores(recipe, networks, Part(pixels, _NO_LABELS)), found.temperature)
            return calibrated, detector.chances(networks, inputs(pixels))

        figures["lines_read"] = evaluate_reading(score, dataset.test, description, _LINES_READ)

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
            untempered=evaluate_calibration(
                apply_temperature(_scores(recipe, networks, dataset.test), 1.0), dataset.test.labels
            ),
            curves=curves,
        )

    return export(
        [with_temperature(network, found.temperature) for network in networks],
        dataset.test.pixels,
        dataset.test.labels,
        dataclasses.replace(
            description,
            recipe=description.recipe | figures,
            temperature=found.temperature,
            thresholds=found.thresholds,
        ),
        models,
        detector=detector,
        outliers=outliers,
        snapshots=fits[0].snapshots,
        force=True,
        report=report,
    )


def _split(recipe: Recipe, dataset: Dataset) -> tuple[Part, dict[str, Part]]:
    """The images that the networks learn from, and the held-out images by source."""
    rows = len(dataset.train) - recipe.calibration
    if recipe.calibration < 1 or rows < len(dataset.classes):
        raise DatasetError(
            f"{recipe.key} holds out {recipe.calibration} training images, and {dataset.name} has {len(dataset.train)}"
        )
    return dataset.split(recipe.calibration)


def _fit_all(recipe: Recipe, dataset: Dataset, learning: Part, held_out: Part, unfinished: Path) -> list[FitResult]:
    """The networks in the order of their seeds; a finished checkpoint is read instead of fitted again."""
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
    """Scores of each network, [networks, N, classes]."""
    inputs = scale_pixels(part.pixels, pixel_scale=recipe.pixel_scale, pixel_offset=recipe.pixel_offset)
    return np.stack([network.predict_proba(inputs) for network in networks])


def _accuracies(recipe: Recipe, networks: Sequence[Any], parts: Mapping[str, Part]) -> dict[str, float]:
    """Accuracy of the averaged scores on each of `parts`, 0..1, to six digits."""
    scores = {name: _scores(recipe, networks, part).mean(axis=0) for name, part in parts.items()}
    return {name: round(float(np.mean(scores[name].argmax(axis=1) == parts[name].labels)), 6) for name in parts}
