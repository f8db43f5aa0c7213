"""The augmented images of each epoch. Slow augmentation runs in a second process while the first one fits.

`python -m training.fit.epochs` with the file descriptor of a pipe is that second process.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from training.child import Child, compute
from training.data.augment import Distortion, SharedDistortion, augment
from training.data.strokes import StrokeChanges, change_strokes

FloatImages = NDArray[np.float32]


@contextmanager
def epoch_images(
    images: FloatImages,
    distortion: SharedDistortion | Distortion | None,
    *,
    rows: int,
    cols: int,
    seed: int,
    epochs: range,
    strokes: StrokeChanges | None = None,
    pixel_max: int = 255,
) -> Iterator[Iterator[FloatImages]]:
    """An iterator over `epochs` of the augmented `images`, float32 [N, rows*cols] in 0..pixel_max.

    The random numbers of an epoch depend only on `seed` and the epoch. Per-image changes, a `Distortion` and then
    `strokes`, are computed one epoch ahead in a second process, which ends with the context or with this process. If
    it ends earlier, the iterator raises `ChildError`.
    """
    job = (images, distortion, rows, cols, seed, epochs, strokes, pixel_max)
    if not isinstance(distortion, Distortion) and strokes is None:
        yield _augmented_images(*job)
        return
    with Child("training.fit.epochs", "distorts the images", job) as child:
        yield (np.frombuffer(child.receive(), np.float32).reshape(images.shape) for _ in epochs)


def _augmented_images(
    images: FloatImages,
    distortion: SharedDistortion | Distortion | None,
    rows: int,
    cols: int,
    seed: int,
    epochs: range,
    strokes: StrokeChanges | None,
    pixel_max: int,
) -> Iterator[FloatImages]:
    for epoch in epochs:
        made = images
        if distortion is not None:
            made = augment(images, distortion, rows=rows, cols=cols, random=np.random.default_rng([seed, epoch, 1]))
        if strokes is not None:
            random = np.random.default_rng([seed, epoch, 2])
            made = change_strokes(made, strokes, rows=rows, cols=cols, pixel_max=pixel_max, random=random)
        yield made


if __name__ == "__main__":
    compute(_augmented_images)
