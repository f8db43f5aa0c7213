"""`digits quantize`: a faster variant of a version, in a file beside it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from cli.errors import fail

if TYPE_CHECKING:
    from artifact.store import VersionFolder
    from training.variants.variants import NumberFormat


def quantize(
    model: Annotated[
        str, typer.Argument(metavar="NAME[:VERSION]", help="Which model; without a version, all versions.")
    ],
    to: Annotated[Literal["int8", "fp16"], typer.Option(help="int8 for CPUs, fp16 (float16) for GPUs.")] = "int8",
    models: Annotated[Path, typer.Option(help="Models folder.")] = Path("models"),
    test_data: Annotated[
        Path | None,
        typer.Option(
            help="For a model of your own: the data of `digits export`, or the images it was trained on.",
            show_default="the data set on the card",
        ),
    ] = None,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder with downloaded data sets.", show_default="the user's cache")
    ] = None,
) -> None:
    """Make a faster variant of a version, model.int8.onnx or model.fp16.onnx beside it, if it is accurate enough.

    Serve it with --variant NAME=int8. On the test images, scores may differ from the version's own by 0.1 (int8) or
    0.01 (fp16), and accuracy may be 0.05 % lower; otherwise the variant is rejected.
    """
    from artifact.store import LayoutError, find_versions

    name, _, version = model.partition(":")
    try:
        found = [each for each in find_versions(models) if each.name == name and version in ("", str(each.version))]
        if not found:
            fail(f"there is no model {model!r} in {models}")
        rejected = [reason for each in found if (reason := _add(each, to, test_data, data_dir))]
    except LayoutError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename or models}: {error.strerror or error}")
    if rejected:
        fail("; ".join(rejected))


def _add(folder: "VersionFolder", to: "NumberFormat", test_data: Path | None, data_dir: Path | None) -> str:
    """Make the variant and report it; returns the reason if it is rejected, else an empty text."""
    from training.data.dataset import DatasetError
    from training.export.checks import ExportError
    from training.variants.variants import add_variant

    try:
        card = add_variant(folder, to, test_data=test_data, data_dir=data_dir)
    except (ExportError, DatasetError) as error:
        return str(error)
    typer.echo(f"{folder.path / f'model.{to}.onnx'} written: {card.accuracy:.2%} of the test images right")
    return ""
