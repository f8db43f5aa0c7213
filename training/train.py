"""From a recipe to a version in the model repository: validation run, fit, export, report."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from artifact.store import VersionFolder
from training.data.dataset import Dataset
from training.data.datasets import SHAPES, load, with_sources
from training.data.images import image_folder
from training.data.inputs import scale_pixels
from training.data.sources.more_digits import attributions
from training.ensemble import train_ensemble
from training.export.checks import Description
from training.export.export import export
from training.fit.checkpoint import checkpoint_folder
from training.fit.fit import FitResult, fit
from training.fit.progress import Say, progress
from training.recipe import Recipe
from training.report.report import write_report


def train_all(
    recipes: Sequence[Recipe],
    models: Path,
    *,
    data_dir: Path | None = None,
    images: Path | None = None,
    without: Collection[str] = (),
    seed: int | None = None,
    checkpoints: Path | None = None,
    say: Say = lambda line: None,
) -> list[VersionFolder]:
    """Train the versions one after the other; existing versions are replaced.

    `seed` replaces that of the recipes, and the folder `images` (see `training.data.images`) their data. The sources
    in `without` are not learned from; the accuracy on them is said and stands on the card.
    Checkpoints are kept in `checkpoints`, a hidden folder of `models` by default, until all versions are trained, so
    that an interrupted call can be repeated. Raises `DatasetError`, `CheckpointError`, `ChildError`, `ExportError` and
    `OSError`.
    """
    hidden = models / ".training"  # servers ignore it
    folders = []
    with contextlib.ExitStack() as stack:
        stack.callback(_remove_empty, hidden)
        for recipe in recipes:
            recipe, dataset = _with_data(recipe, data_dir=data_dir, images=images, without=without, say=say)
            unfinished = stack.enter_context(checkpoint_folder(unfinished_folder(checkpoints or hidden, recipe)))
            models.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=models):
                pass  # better now than after the fits
            seed_of = recipe.seed if seed is None else seed
            folders.append(train(recipe, dataset, models, unfinished=unfinished, seed=seed_of, say=say))
    return folders


def _remove_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # it has checkpoints, or there is none
        folder.rmdir()


def _with_data(
    recipe: Recipe, *, data_dir: Path | None, images: Path | None, without: Collection[str], say: Say
) -> tuple[Recipe, Dataset]:
    """The data, and the recipe with what depends on them."""
    if images is not None:
        dataset = _image_folder(recipe, images)
        return _own_images_recipe(recipe, dataset), dataset
    dataset = load(recipe.dataset, data_dir, say=say)
    form = make_description(recipe, dataset, recipe.seed, {})
    dataset = with_sources(dataset, recipe.sources, form, without=without, say=say)
    return dataclasses.replace(recipe, sources=tuple(dataset.more)), dataset


def unfinished_folder(checkpoints: Path, recipe: Recipe) -> Path:
    """The folder of the checkpoints of `recipe`."""
    return checkpoints / f"{recipe.name}-{recipe.version}"


def _image_folder(recipe: Recipe, images: Path) -> Dataset:
    rows, cols, pixel_max = SHAPES[recipe.dataset]
    return image_folder(images, rows=rows, cols=cols, pixel_max=pixel_max, preparation=recipe.preparation)


def _own_images_recipe(recipe: Recipe, dataset: Dataset) -> Recipe:
    """`recipe` for a folder of images, without its further data and without its trials, which were on its own data."""
    return dataclasses.replace(
        recipe,
        dataset=dataset.name,
        sources=(),
        real_outliers=False,
        lines=0,
        calibration=min(recipe.calibration, dataset.validation_rows),
        chosen_on="",
        trials=(),
    )


def train(
    recipe: Recipe,
    dataset: Dataset,
    models: Path,
    *,
    unfinished: Path,
    seed: int,
    say: Say = lambda line: None,
) -> VersionFolder:
    """Train one version. A call after an interrupted one continues from the checkpoints in the folder `unfinished`.

    The exported model is evaluated on the test set once, at the end. A recipe with member seeds makes an ensemble
    (see `training.ensemble`), any other recipe a single network without calibration.
    """
    learning = len(dataset.train) + sum(map(len, dataset.more.values()))
    say(f"{recipe.key}: {learning} images to learn from, {len(dataset.test)} to be judged by")
    if not recipe.member_seeds:
        return _train_single(recipe, dataset, models, seed=seed, unfinished=unfinished, say=say)
    if seed != recipe.seed:
        recipe = recipe.with_seed(seed)
    about = make_description(recipe, dataset, seed, {})
    return train_ensemble(recipe, dataset, models, description=about, unfinished=unfinished, say=say)


def _train_single(
    recipe: Recipe, dataset: Dataset, models: Path, *, seed: int, unfinished: Path, say: Say
) -> VersionFolder:
    """Fit a single network twice.

    The validation run fits without the validation rows. Its accuracy on them is the figure by which recipes are
    selected. The final fit uses all training rows.
    """
    with progress(f"{recipe.key} validation run", recipe.validation_run.epochs) as on_epoch:
        validation_run = fit(
            recipe.validation_run,
            dataset,
            dataset.learning,
            seed=seed,
            checkpoint=unfinished / "rehearsal.checkpoint",  # the name in earlier releases, whose fits can be resumed
            validation=dataset.validation,
            on_epoch=on_epoch,
        )
    validation_accuracy = _accuracy(recipe, validation_run, dataset)
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
                "validation run: images learned from": validation_run.losses,
                "validation run: validation images": validation_run.validation_losses,
                "final fit: images learned from": final.losses,
            },
            recipe=recipe,
        )

    return export(
        final.classifier,
        dataset.test.pixels,
        dataset.test.labels,
        make_description(recipe, dataset, seed, {"validation_accuracy": round(validation_accuracy, 6)}),
        models,
        force=True,
        report=report,
    )


def make_description(recipe: Recipe, dataset: Dataset, seed: int, figures: dict[str, Any]) -> Description:
    """The description on the card of a model of this recipe; `figures` are the results of its fits."""
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
        attributions=attributions(recipe.sources, letters=recipe.real_outliers),
    )


def _accuracy(recipe: Recipe, fitted: FitResult, dataset: Dataset) -> float:
    inputs = scale_pixels(dataset.validation.pixels, pixel_scale=recipe.pixel_scale, pixel_offset=recipe.pixel_offset)
    return float(np.mean(fitted.classifier.predict(inputs) == dataset.validation.labels))
