"""From a recipe to a version in the model repository: rehearse, fit, export, report."""

import contextlib
import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from artifact.store import VersionFolder
from training.data.dataset import Dataset
from training.data.datasets import SHAPES, load
from training.data.images import image_folder
from training.data.inputs import scaled
from training.ensemble import train_committee
from training.export.checks import Description
from training.export.export import export
from training.fit.fit import Fitted, fit
from training.fit.progress import Say, progress
from training.recipes import Recipe
from training.report.report import write_report


def train_all(
    recipes: Sequence[Recipe],
    models: Path,
    *,
    data_dir: Path | None = None,
    images: Path | None = None,
    seed: int | None = None,
    say: Say = lambda line: None,
) -> list[VersionFolder]:
    """Make the versions one after the other; those that stood there are replaced.

    `seed` takes the place of the recipes', and the folder `images` (see `training.data.images`) that of their
    data. What a cut-off call had fitted is kept until all versions are made. Raises `DatasetError`,
    `EpochError` and `ExportError`.
    """
    folders = []
    for recipe in recipes:
        dataset = _dataset(recipe, data_dir, images)
        if images is not None:  # what was tried was tried on the recipe's own data
            recipe = dataclasses.replace(recipe, dataset=dataset.name, chosen_on="", choices=())
        folders.append(train(recipe, dataset, models, seed=recipe.seed if seed is None else seed, say=say))
    for recipe in recipes:
        shutil.rmtree(unfinished_folder(models, recipe), ignore_errors=True)
    with contextlib.suppress(OSError):  # another recipe may be under way beside this one
        unfinished_folder(models, recipes[0]).parent.rmdir()
    return folders


def unfinished_folder(models: Path, recipe: Recipe) -> Path:
    """Where a fit of `recipe` keeps its state; a dot folder, which servers pass over."""
    return models / ".training" / f"{recipe.name}-{recipe.version}"


def _dataset(recipe: Recipe, data_dir: Path | None, images: Path | None) -> Dataset:
    if images is None:
        return load(recipe.dataset, data_dir)
    rows, cols, pixel_max = SHAPES[recipe.dataset]
    return image_folder(images, rows=rows, cols=cols, pixel_max=pixel_max, preparation=recipe.preparation)


def train(recipe: Recipe, dataset: Dataset, models: Path, *, seed: int, say: Say = lambda line: None) -> VersionFolder:
    """Make one version; cut off at any point, the next call goes on where it was.

    The exported model sees the test set once, at the very end. A recipe with member seeds makes a committee,
    see `training.ensemble`, any other a single network.
    """
    say(f"{recipe.key}: {len(dataset.train)} images to learn from, {len(dataset.test)} to be judged by")
    unfinished = unfinished_folder(models, recipe)
    if not recipe.member_seeds:
        return _train_single(recipe, dataset, models, seed=seed, unfinished=unfinished, say=say)
    if seed != recipe.seed:
        recipe = recipe.with_seed(seed)
    about = describe(recipe, dataset, seed, {})
    return train_committee(recipe, dataset, models, description=about, unfinished=unfinished, say=say)


def _train_single(
    recipe: Recipe, dataset: Dataset, models: Path, *, seed: int, unfinished: Path, say: Say
) -> VersionFolder:
    """Fit a single network twice.

    The rehearsal learns without the validation rows, and what it scores on them is the figure by which recipes
    are chosen; the final fit learns from all training rows.
    """
    with progress(f"{recipe.key} rehearsal", recipe.rehearsal.epochs) as on_epoch:
        rehearsal = fit(
            recipe.rehearsal,
            dataset,
            dataset.learning,
            seed=seed,
            checkpoint=unfinished / "rehearsal.checkpoint",
            validation=dataset.validation,
            on_epoch=on_epoch,
        )
    validation_accuracy = _accuracy(recipe, rehearsal, dataset)
    say(f"{recipe.key}: {validation_accuracy:.2%} of the validation images right")
    with progress(f"{recipe.key} final fit", recipe.epochs) as on_epoch:
        final = fit(
            recipe, dataset, dataset.train, seed=seed, checkpoint=unfinished / "final.checkpoint", on_epoch=on_epoch
        )

    def report(path: Path, card: Card, scores: NDArray[Any], _: object) -> None:
        write_report(
            path,
            card,
            test=dataset.test,
            scores=scores,
            first_weights=final.classifier.coefs_[0],
            losses={
                "rehearsal: images learned from": rehearsal.losses,
                "rehearsal: validation images": rehearsal.validation_losses,
                "final fit: images learned from": final.losses,
            },
            recipe=recipe,
        )

    return export(
        final.classifier,
        dataset.test.pixels,
        dataset.test.labels,
        describe(recipe, dataset, seed, {"validation_accuracy": round(validation_accuracy, 6)}),
        models,
        force=True,
        report=report,
    )


def describe(recipe: Recipe, dataset: Dataset, seed: int, figures: dict[str, Any]) -> Description:
    """What the card shall say of a model of this recipe; `figures` are what its fits found out."""
    return Description(
        name=recipe.name,
        version=recipe.version,
        rows=dataset.rows,
        cols=dataset.cols,
        pixel_max=dataset.pixel_max,
        preparation=recipe.preparation,
        dataset=dataset.name,
        dataset_sha256=dataset.sha256,
        pixel_scale=recipe.pixel_scale,
        pixel_offset=recipe.pixel_offset,
        classes=dataset.classes,
        recipe=recipe.to_dict() | figures,
        seed=seed,
    )


def _accuracy(recipe: Recipe, fitted: Fitted, dataset: Dataset) -> float:
    inputs = scaled(dataset.validation.pixels, pixel_scale=recipe.pixel_scale, pixel_offset=recipe.pixel_offset)
    return float(np.mean(fitted.classifier.predict(inputs) == dataset.validation.labels))
