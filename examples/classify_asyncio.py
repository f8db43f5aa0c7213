"""Classify many arrays at once with asyncio: concurrent calls share batches.

python examples/classify_asyncio.py [HOST:PORT]
"""

import asyncio
import sys

import numpy as np
from digits_client import AsyncDigitsClient

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8001"


def upright_stroke(column: int) -> np.ndarray:
    """uint8 [28, 28], ink bright: a 1, as MNIST would have it."""
    image = np.zeros((28, 28), np.uint8)
    image[4:24, column : column + 3] = 255
    return image


async def main() -> None:
    """Send a hundred calls, each with one image, and wait for all."""
    async with AsyncDigitsClient(address) as client:
        answers = await asyncio.gather(*(client.classify(upright_stroke(12 + i % 3)) for i in range(100)))
    print(f"{sum(answer.digit == 1 for answer in answers)} of {len(answers)} are a 1")


asyncio.run(main())
