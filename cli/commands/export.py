"""`digits export`: a fitted `MLPClassifier` from a file becomes a model of the repository."""

from pathlib import Path
from typing import Annotated

import typer

from cli.errors import fail

# Accuracy below which an option is most likely wrong.
_LOW_ACCURACY = 0.5


def export(
    model: Annotated[Path, typer.Argument(help="Fitted MLPClassifier: .skops, or .joblib / .pkl with --trust.")],
    test_data: Annotated[
        Path,
        typer.Option(
            help="The gate's test data: a .npz file with `pixels` uint8 [N, rows*cols] or [N, rows, cols] and "
            "`labels` [N], or a folder of images, one subfolder a class."
        ),
    ],
    name: Annotated[
        str | None, typer.Option(help="Name of the model.", show_default="the file's name without its suffix")
    ] = None,
    version: Annotated[int, typer.Option(help="Positive; the greatest version is the newest.", min=1)] = 1,
    rows: Annotated[
        int | None, typer.Option(help="Height of an image in pixels.", min=1, show_default="from the data")
    ] = None,
    cols: Annotated[
        int | None, typer.Option(help="Width of an image in pixels.", min=1, show_default="from the data")
    ] = None,
    pixel_max: Annotated[int, typer.Option(help="Maximum value of a pixel.", min=1, max=255)] = 255,
    pixel_scale: Annotated[
        float | None,
        typer.Option(
            help="The classifier was fitted on (pixel - pixel-offset) * pixel-scale.",
            show_default="1 / pixel-max",
        ),
    ] = None,
    pixel_offset: Annotated[float, typer.Option(help="See --pixel-scale.")] = 0.0,
    preparation: Annotated[
        str, typer.Option(help="How images become pixels: mass (like MNIST) or blocks (like 8×8 digits).")
    ] = "mass",
    classes: Annotated[
        str | None,
        typer.Option(
            help="Names of the classes in score order, separated by commas.",
            show_default="the classifier's own",
        ),
    ] = None,
    dataset_name: Annotated[
        str | None, typer.Option(help="Name of the test data.", show_default="the name of its file")
    ] = None,
    out: Annotated[Path, typer.Option(help="Models folder.")] = Path("models"),
    trust: Annotated[
        bool, typer.Option("--trust", help="Read a .joblib or .pkl file, which runs the code in it.")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing version and its variants.")] = False,
) -> None:
    """Export a fitted MLPClassifier to ONNX, if the model's scores are scikit-learn's on all test data."""
    from imaging.pixels import WarningCode, find_warnings
    from training.data.dataset import DatasetError
    from training.export.checks import ExportError
    from training.export.import_classifier import ExportOptions, import_classifier
    from training.export.skops_file import FittedFileError

    options = ExportOptions(
        name=name,
        version=version,
        rows=rows,
        cols=cols,
        pixel_max=pixel_max,
        pixel_scale=pixel_scale,
        pixel_offset=pixel_offset,
        preparation=preparation,
        classes=None if classes is None else tuple(part.strip() for part in classes.split(",")),
        dataset_name=dataset_name,
    )
    try:
        folder, card = import_classifier(model, test_data, options, out, trust=trust, force=force)
    except (ExportError, FittedFileError, DatasetError) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or out}: {error.strerror or error}")
    golden = folder.read_golden()
    typer.echo(
        f"{folder.path} written: {'-'.join(map(str, card.layer_widths))} {card.activation}, "
        f"{card.accuracy:.2%} of {card.test_rows:,} test images right"
    )
    inverted = [row for row, warning in find_warnings(golden.pixels, card) if warning.code is WarningCode.INVERTED]
    if 2 * len(inverted) > len(golden.pixels):
        typer.echo(
            "most golden rows have bright corners: the test images seem to show dark ink on a bright ground. The model "
            "is right for raw pixels of that kind. Image files become bright ink on a dark ground before it sees them",
            err=True,
        )
    elif card.accuracy < _LOW_ACCURACY:
        typer.echo(
            "the accuracy is low: was it fitted on pixels of another scale (--pixel-scale), another shape (--rows), or "
            "images prepared in another way (--preparation; ink is bright)?",
            err=True,
        )
