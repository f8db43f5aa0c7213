"""Imports a classifier from a file, with its test data, into the model repository."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card, Preparation
from artifact.store import VersionFolder
from training.data.dataset import Part
from training.data.images import read_images
from training.export.checks import Description, ExportError, check_classifier, class_positions
from training.export.export import export
from training.export.skops_file import read_fitted
from training.report.report import write_report


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """Options of an import; None means the documented default."""

    name: str | None = None
    """By default the file's name without its ending."""
    version: int = 1
    rows: int | None = None
    """By default from the test data's shape, else the square root of the inputs."""
    cols: int | None = None
    pixel_max: int = 255
    pixel_scale: float | None = None
    """By default 1 / pixel_max."""
    pixel_offset: float = 0.0
    preparation: str = "mass"
    classes: tuple[str, ...] | None = None
    dataset_name: str | None = None
    """By default the test data's name without its ending."""


def import_classifier(
    file: Path, test_data: Path, options: ExportOptions, models: Path, *, trust: bool = False, force: bool = False
) -> tuple[VersionFolder, Card]:
    """Read the classifier in `file`, evaluate it on `test_data`, and write it below `models` with its report.

    `test_data` is a .npz file with `pixels` uint8 [N, rows*cols] or [N, rows, cols] and `labels` [N], or a
    folder of images, one subfolder a class. Raises `ExportError`, `FittedFileError` and `DatasetError`.
    """
    given = read_fitted(file, trust=trust)
    classifier = check_classifier(given, options.classes)
    if options.preparation not in get_args(Preparation):
        raise ExportError(f"preparation is {options.preparation!r}, expected one of {', '.join(get_args(Preparation))}")
    preparation: Preparation = options.preparation  # type: ignore[assignment]
    if not 1 <= options.pixel_max <= 255:
        raise ExportError(f"pixel_max is {options.pixel_max}, expected 1..255")
    features = classifier.coefs_[0].shape[0]
    if test_data.is_dir():
        rows, cols = _shape(features, options, ())
        pixels, labels = read_images(
            test_data, rows=rows, cols=cols, pixel_max=options.pixel_max, preparation=preparation
        )
    else:
        pixels, labels = read_npz(test_data)
        rows, cols = _shape(features, options, pixels.shape[1:])
        pixels = pixels.reshape(len(pixels), -1)
    description = Description(
        name=options.name or file.stem,
        version=options.version,
        rows=rows,
        cols=cols,
        pixel_max=options.pixel_max,
        pixel_scale=1 / options.pixel_max if options.pixel_scale is None else options.pixel_scale,
        pixel_offset=options.pixel_offset,
        preparation=preparation,
        classes=options.classes,
        dataset=options.dataset_name or test_data.stem,
        dataset_sha256=data_sha256(pixels, labels),
    )

    def report(folder: Path, card: Card, scores: NDArray[Any], _: object) -> None:
        positions = class_positions(classifier.classes_.tolist(), labels, options.classes)
        losses = _losses(given)
        write_report(
            folder,
            card,
            test=Part(pixels, positions),
            scores=scores,
            first_weights=classifier.coefs_[0],
            losses={"images learned from": losses} if losses else {},
        )

    folder = export(given, pixels, labels, description, models, force=force, report=report)
    return folder, Card.from_json(folder.card.read_text(encoding="utf-8"))


def _losses(classifier: Any) -> list[float]:
    """The loss of each epoch of its fit. The list is empty unless all of them are positive numbers."""
    try:
        losses = np.array(getattr(classifier, "loss_curve_", []), np.float64)
    except (TypeError, ValueError):
        return []
    return losses.tolist() if losses.ndim == 1 and (losses > 0).all() and np.isfinite(losses).all() else []


def read_npz(file: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Pixels uint8 [N, rows*cols] or [N, rows, cols] and labels [N] of a .npz file; raises `ExportError`."""
    try:
        with np.load(file, allow_pickle=False) as arrays:
            pixels, labels = (_member(file, arrays, name) for name in ("pixels", "labels"))
    except ExportError:
        raise
    except KeyError:
        raise ExportError(f"{file} lacks `pixels` or `labels`") from None
    except FileNotFoundError:
        raise ExportError(f"{file} is not there") from None
    except Exception as error:  # a damaged zip raises many types, a pickled array ValueError
        raise ExportError(f"{file} is no .npz file of plain arrays: {' '.join(str(error).split())}") from None
    if labels.ndim != 1:
        raise ExportError(f"{file}: labels have the shape {list(labels.shape)}, expected [N]")
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or len(pixels) == 0:
        raise ExportError(
            f"{file}: pixels are {pixels.dtype}{list(pixels.shape)}, "
            "expected uint8 [N, rows*cols] or [N, rows, cols] with N at least 1"
        )
    return pixels, labels


def _member(file: Path, arrays: Any, name: str) -> NDArray[Any]:
    try:
        array: NDArray[Any] = arrays[name]
    except ValueError:
        raise ExportError(
            f"{file}: {name} hold Python objects, expected numbers or text; save them with .astype(int) or .astype(str)"
        ) from None
    return array


def _shape(features: int, options: ExportOptions, image: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns: from the options, else from the images, else of a square."""
    if len(image) == 2:
        found = image
        if (options.rows or found[0], options.cols or found[1]) != found:
            raise ExportError(
                f"the test images have {found[0]} rows and {found[1]} columns, not {options.rows} and {options.cols}"
            )
        return found
    side = math.isqrt(features)
    if options.rows is None and options.cols is None:
        if side * side != features:
            raise ExportError(f"{features} inputs are no square image; say --rows and --cols")
        return side, side
    rows = options.rows if options.rows is not None else features // max(1, options.cols or 1)
    cols = options.cols if options.cols is not None else features // max(1, rows)
    return rows, cols


def data_sha256(pixels: NDArray[np.uint8], labels: NDArray[Any]) -> str:
    """`dataset_sha256` of a card: over the pixels, then the labels as one line of text each."""
    digest = hashlib.sha256(np.ascontiguousarray(pixels).data)
    digest.update("".join(f"{label}\n" for label in labels.tolist()).encode())
    return digest.hexdigest()
