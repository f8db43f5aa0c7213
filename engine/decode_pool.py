"""Decodes images to pixels in separate threads, so that decoding never delays a run."""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from artifact.card import Card
from engine.capacity import CapacityWaiter
from engine.cpus import usable_cores
from engine.errors import DeadlinePassed, InvalidInput, QueueFull
from imaging.pixels import ImageWarning
from imaging.prepare import ImageError, prepare
from imaging.reading.segment import Segmented, TooManyMarksError, segment_file

T = TypeVar("T")


class DecodePool:
    """Decodes and prepares as many images at once as there are cores; a limited number waits."""

    def __init__(self, *, max_image_pixels: int, max_images: int) -> None:
        """Refuse images of more than `max_image_pixels`, and calls while `max_images` are waiting."""
        self._max_image_pixels = max_image_pixels
        self._max_images = max_images
        self._images = 0
        self._capacity = CapacityWaiter()
        self._executor = ThreadPoolExecutor(usable_cores(), thread_name_prefix="prepare")
        self._segmenters = ThreadPoolExecutor(max(1, usable_cores() // 2), thread_name_prefix="segment")

    async def prepare(
        self, images: Sequence[bytes], card: Card, deadline: float | None, fields: Sequence[str] | None = None
    ) -> tuple[NDArray[np.uint8], list[tuple[ImageWarning, ...]]]:
        """The pixels, uint8 [N, rows*cols], and the warnings of each image.

        `fields` are the names of the images in the request, by default encoded_images[0], … Raises `InvalidInput` for
        the first file that is not an image, `QueueFull` and `DeadlinePassed`. When the caller is cancelled, images not
        yet begun are dropped.
        """
        work = partial(prepare, form=card, max_image_pixels=self._max_image_pixels)
        names = fields or [f"encoded_images[{index}]" for index in range(len(images))]
        prepared = await self._run(work, images, names, deadline)
        return np.stack([each.pixels for each in prepared]), [each.warnings for each in prepared]

    async def segment(self, image: bytes, card: Card, turns: int, deadline: float | None) -> Segmented | str:
        """The parts of a picture that may be digits, after so many quarter turns clockwise; or why there are too many.

        It runs in threads of its own, so that it delays no image that is decoded for Classify. Raises `InvalidInput`
        for a file that is not an image, `QueueFull` and `DeadlinePassed`.
        """

        def work(data: bytes) -> Segmented | str:
            try:
                return segment_file(data, card, turns=turns, max_image_pixels=self._max_image_pixels)
            except TooManyMarksError as error:
                return str(error)

        (segmented,) = await self._run(work, [image], ["encoded_image"], deadline, self._segmenters)
        return segmented

    async def _run(
        self,
        work: Callable[[bytes], T],
        images: Sequence[bytes],
        fields: Sequence[str],
        deadline: float | None,
        executor: ThreadPoolExecutor | None = None,
    ) -> list[T]:
        """What `work` makes of each image; `fields` are their names in the request."""
        if self._full(len(images)):
            raise QueueFull(
                f"{self._images} images are waiting to be decoded, there is no room for {len(images)} more",
                retry_after=0.1,
            )
        self._images += len(images)
        loop = asyncio.get_running_loop()
        futures = [
            loop.run_in_executor(executor or self._executor, _attempt, work, image, deadline) for image in images
        ]
        try:
            done: list[T] = []
            for field, future in zip(fields, futures, strict=True):
                result = await future
                if isinstance(result, ImageError):
                    raise InvalidInput(field, str(result))
                if isinstance(result, Exception):
                    raise result
                done.append(result)
        finally:
            self._images -= len(images)
            self._capacity.wake()
            for future in futures:
                future.cancel()
        return done

    async def wait_for_capacity(self, images: int, deadline: float | None) -> None:
        """Wait until `images` more fit. Raises `DeadlinePassed`."""
        while self._full(images):
            await self._capacity.wait(deadline)

    def _full(self, images: int) -> bool:
        return self._images + images > self._max_images

    def close(self) -> None:
        """Drop waiting images and stop the threads."""
        for executor in (self._executor, self._segmenters):
            executor.shutdown(wait=False, cancel_futures=True)


def _attempt(work: Callable[[bytes], T], image: bytes, deadline: float | None) -> T | Exception:
    # Errors are returned: asyncio would report a raised one as lost if its caller was cancelled.
    if deadline is not None and deadline <= time.monotonic():
        return DeadlinePassed("the deadline passed while the images were being decoded")
    try:
        return work(image)
    except ImageError as error:
        reason = str(error)
    except Exception as error:
        return error
    return ImageError(reason)  # a new one: the traceback of the raised one keeps the image alive
