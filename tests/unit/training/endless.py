"""A second process that never ends by itself, see `test_child`."""

import sys
from collections.abc import Iterator

import numpy as np

from training.child import compute


def make(first: int) -> Iterator[np.ndarray]:
    """`first`, `first + 1`, …"""
    sys.stderr.write("computing\n")
    while True:
        yield np.array([first])
        first += 1


if __name__ == "__main__":
    compute(make)
