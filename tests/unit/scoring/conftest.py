"""Digits in files of every kind, made from the committed test set and from scikit-learn's."""

import gzip
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from artifact.card import Card
from imaging.prepare import prepare
from scoring.chunk import Shape
from tests.conftest import servers_of
from tests.support.processes import ROOT
from tests.support.server import MODELS, Server

MNIST = ROOT / "tests" / "data" / "mnist" / "t10k-images-idx3-ubyte.gz"


def shape_of(model: str) -> Shape:
    card = Card.from_json((MODELS / model / "1" / "card.json").read_text())
    prepare_image = partial(prepare, form=card, max_image_pixels=1_000_000)
    return Shape(card.rows, card.cols, card.pixel_max, card.labels, card.classes, prepare_image)


@pytest.fixture(scope="session")
def small() -> Shape:
    """8×8 pixels in 0..16."""
    return shape_of("digits-8x8")


@pytest.fixture(scope="session")
def large() -> Shape:
    """28×28 pixels in 0..255."""
    return shape_of("mnist-large")


@pytest.fixture(scope="session")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's 1,797 digits: uint8 [N, 64] and int64 [N]."""
    pixels, labels = load_digits(return_X_y=True)
    return pixels.astype(np.uint8), labels


@pytest.fixture(scope="session")
def mnist() -> np.ndarray:
    """MNIST's 10,000 test images: uint8 [N, 784]."""
    return np.frombuffer(gzip.decompress(MNIST.read_bytes()), np.uint8, offset=16).reshape(-1, 784)


@pytest.fixture(scope="session")
def mnist_file() -> Path:
    return MNIST


@pytest.fixture(scope="session")
def sharing_server(front: str) -> Iterator[Server]:
    """One server whose clients may use shared memory, for all tests that leave it as it was."""
    with servers_of(front) as start:
        yield start("--shared-memory=digits-test-", models=MODELS)
