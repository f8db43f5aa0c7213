"""Classify an endless source over one stream: results come in order, and a bad image does not end it.

python examples/stream.py [HOST:PORT]
"""

import sys
from collections.abc import Iterator

import numpy as np
from digits_client import DigitsClient

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8001"


def images() -> Iterator[np.ndarray]:
    """Images as a camera or a queue would give them: uint8 [28, 28], ink bright."""
    for shift in range(500):
        image = np.zeros((28, 28), np.uint8)
        image[4:24, 10 + shift % 6 : 13 + shift % 6] = 255
        yield image if shift != 250 else image[:3]  # one has lost its lower rows


with DigitsClient(address, timeout=30) as client:
    ones = 0
    for number, result in enumerate(client.classify_stream(images())):
        if isinstance(result, Exception):
            print(f"image {number}: {result}")
        else:
            ones += result.digit == 1
print(f"{ones} images show a 1")
