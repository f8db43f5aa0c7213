"""A folder of images, one subfolder a class, as pixels and labels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card, CardError, Preparation
from artifact.classes import are_names
from imaging.folder import is_hidden, walk
from imaging.prepare import ImageError, prepare
from training.data.dataset import Dataset, DatasetError, Part

_MAX_IMAGE_PIXELS = 50_000_000
_FEWEST = 8  # images of a class, so that each part of the split has some
_SPLIT_SEED = 0


def read_images(
    folder: Path, *, rows: int, cols: int, pixel_max: int, preparation: Preparation
) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
    """All images below `folder`: pixels uint8 [N, rows*cols], prepared as the server does, and labels [N].

    The label of an image is the name of its subfolder. Hidden files are skipped. Raises `DatasetError` for any
    other file that is not an image, for fewer than two classes and for a subfolder without images.
    """
    card = _shape(rows, cols, pixel_max, preparation)
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder")
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not is_hidden(path.name))
    if len(classes) < 2:
        raise DatasetError(f"{folder} has {len(classes)} subfolders; it takes one for each class, at least two")
    for subfolder in classes:
        if not are_names([subfolder.name]):
            raise DatasetError(
                f"{folder} has the subfolder {subfolder.name!r}, expected a name of printable characters"
            )
    pixels, labels = [], []
    for subfolder in classes:
        try:
            files = sorted(file for name in walk(subfolder) if (file := subfolder / name).is_file())
        except OSError as error:
            raise DatasetError(f"{error.filename} cannot be read: {error.strerror}") from None
        if not files:
            raise DatasetError(f"{subfolder} has no images")
        for file in files:
            try:
                prepared = prepare(file.read_bytes(), card, max_image_pixels=_MAX_IMAGE_PIXELS)
            except ImageError as error:
                raise DatasetError(f"{file}: {error}") from None
            except OSError as error:
                raise DatasetError(f"{file} cannot be read: {error.strerror}") from None
            pixels.append(prepared.pixels)
            labels.append(subfolder.name)
    return np.stack(pixels), np.array(labels)


def image_folder(folder: Path, *, rows: int, cols: int, pixel_max: int, preparation: Preparation) -> Dataset:
    """The images below `folder` as a data set, with a stratified quarter held out.

    Raises `DatasetError` as `read_images` does, and for a class of fewer than eight images.
    """
    from sklearn.model_selection import train_test_split

    pixels, names = read_images(folder, rows=rows, cols=cols, pixel_max=pixel_max, preparation=preparation)
    classes, labels, counts = np.unique(names, return_inverse=True, return_counts=True)
    if counts.min() < _FEWEST:
        raise DatasetError(
            f"{folder / classes[counts.argmin()]} has too few images: {counts.min()}, expected at least {_FEWEST}"
        )
    split = train_test_split(np.arange(len(labels)), test_size=0.25, stratify=labels, random_state=_SPLIT_SEED)
    train, test = (Part(pixels[part], labels[part].astype(np.int64)) for part in split)
    return Dataset(
        name=folder.resolve().name,
        rows=rows,
        cols=cols,
        pixel_max=pixel_max,
        classes=tuple(classes.tolist()),
        train=train,
        validation_rows=len(train) // 4,
        test=test,
    )


def _shape(rows: int, cols: int, pixel_max: int, preparation: Preparation) -> Card:
    """A card for the preparation of images; its other fields are placeholders."""
    try:
        return Card(
            name="shape",
            version=1,
            rows=rows,
            cols=cols,
            pixel_max=pixel_max,
            pixel_scale=1.0,
            preparation=preparation,
            classes=("a", "b"),
            labels=(0, 1),
            layer_widths=(rows * cols, 2),
            activation="identity",
            dataset="",
            dataset_sha256="",
            test_rows=0,
            accuracy=0.0,
            confusion=(),
            tolerance={"CPUExecutionProvider": 0.0},
        )
    except CardError as error:
        raise DatasetError(str(error).removeprefix("card: ")) from None
