"""`digits train`: trains a recipe into a model of the repository."""

import dataclasses
from pathlib import Path
from typing import Annotated

import typer

from cli.errors import fail


def train(
    recipe: Annotated[
        str,
        typer.Argument(
            help="digits-8x8, mnist-16x16 (all its versions), mnist-256x128, mnist-large, mnist-1500x1000x500, "
            "mnist-committee; one version: mnist-16x16:2."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Models folder; an existing version of the same name is replaced.")] = Path(
        "models"
    ),
    data_dir: Annotated[
        Path | None,
        typer.Option(help="Folder with MNIST's four IDX files, plain or .gz.", show_default="the cache folder"),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Train on this folder of images instead, one subfolder for each class; needs --name.",
            show_default=False,
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(help="Source of digits to leave out and to evaluate the model on; repeatable; needs --name."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the model.", show_default="the recipe's")] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed.", min=0, max=2**31 - 1, show_default="the recipe's")
    ] = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(help="Folder for the state after each epoch.", show_default="a hidden folder in --out"),
    ] = None,
) -> None:
    """Train a recipe, export it and write its report; after Ctrl-C or a crash, the same command continues."""
    import skl2onnx  # noqa: F401 - a package that is missing is named before anything is downloaded
    import sklearn  # noqa: F401
    import threadpoolctl  # type: ignore[import-untyped]  # noqa: F401

    from artifact.card import NAME
    from training.child import ChildError
    from training.data.dataset import DatasetError
    from training.export.checks import ExportError
    from training.fit.checkpoint import CheckpointError
    from training.fit.progress import log
    from training.recipe import RecipeError
    from training.recipes import find
    from training.train import train_all

    if images is not None and name is None:
        fail("--images needs --name, since it would replace the recipe's own model", code=2)
    if images is not None and without:
        fail("--without is for the sources of a recipe, which --images replaces", code=2)
    if without and name is None:
        fail("--without needs --name, since it would replace the recipe's own model", code=2)
    if name is not None and not NAME.fullmatch(name):
        fail(f"--name is {name!r}, expected 1 to 64 letters, digits, '.', '_' or '-'", code=2)
    try:
        recipes = find(recipe)
    except RecipeError as error:
        fail(str(error), code=2)
    if name is not None:
        recipes = [dataclasses.replace(one, name=name) for one in recipes]
    try:
        folders = train_all(
            recipes,
            out,
            data_dir=data_dir,
            images=images,
            without=without or (),
            seed=seed,
            checkpoints=checkpoints,
            say=log,
        )
    except KeyboardInterrupt:
        fail("stopped; the same command continues", code=130)
    except CheckpointError as error:
        fail(str(error))
    except ChildError as error:
        fail(f"{error}; the same command continues")
    except (DatasetError, ExportError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror or error}")
    for folder in folders:
        log(f"{folder.path} written; its report: {folder.report / 'report.md'}")
