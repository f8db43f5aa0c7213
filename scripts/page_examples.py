"""Write the page's test digits, service/web/examples/<data set>.gz: `python -m scripts.page_examples`.

They are those that a committed model takes for another, and a few of each digit that all models get right, so
that the page can show what is behind a model's confusion matrix. Unpacked, each is a byte with the position of
its class, and its pixels, uint8 row-major, as the models take them. MNIST's are read from tests/data/mnist.

mnist-training.gz has the first digits of each class of MNIST's training set, in its order: a network learns from
them in the page. MNIST's training set is downloaded once.
"""

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from artifact.card import CARD_KEY, Card
from artifact.names import INPUT, SCORES
from training.data.dataset import Part
from training.data.datasets import held_out_digits
from training.data.mnist import mnist, read_part

_ROOT = Path(__file__).resolve().parent.parent
_WEB = _ROOT / "service" / "web" / "examples"
_RIGHT_EACH = 6
_TRAINING_EACH = 180


def choose(part: Part, models: list[Path]) -> NDArray[np.int64]:
    """Positions in `part` [N] of instructive images, ascending; `models` are files that take its images."""
    wrong = np.zeros(len(part), bool)
    for path in models:
        scores = InferenceSession(path, providers=["CPUExecutionProvider"]).run([SCORES], {INPUT: part.pixels})[0]
        wrong |= scores.argmax(axis=1) != part.labels
    for label in np.unique(part.labels):
        wrong[np.flatnonzero(~wrong & (part.labels == label))[:_RIGHT_EACH]] = True
    return np.flatnonzero(wrong)


def choose_first(part: Part, count: int) -> NDArray[np.int64]:
    """Positions in `part` [N] of the first `count` images of each class, ascending."""
    return np.sort(np.concatenate([np.flatnonzero(part.labels == each)[:count] for each in np.unique(part.labels)]))


def pack(part: Part, positions: NDArray[np.int64]) -> bytes:
    """The images and their classes in the format of the page; the bytes are reproducible."""
    rows = np.column_stack([part.labels[positions].astype(np.uint8), part.pixels[positions]])
    return gzip.compress(rows.tobytes(), 9, mtime=0)


def models_of(dataset: str) -> list[Path]:
    """The committed models that were trained on a data set."""
    found = []
    for path in sorted(_ROOT.glob("models/*/*/model.onnx")):
        card = InferenceSession(path, providers=["CPUExecutionProvider"]).get_modelmeta().custom_metadata_map[CARD_KEY]
        if Card.from_json(card).dataset == dataset:
            found.append(path)
    return found


def main() -> None:
    """Write the files of both data sets, and the training digits."""
    tests = read_part(_ROOT / "tests" / "data" / "mnist", "t10k")
    for dataset, part in (("mnist", tests), ("digits", held_out_digits())):
        (_WEB / f"{dataset}.gz").write_bytes(pack(part, choose(part, models_of(dataset))))
    train = mnist().train
    (_WEB / "mnist-training.gz").write_bytes(pack(train, choose_first(train, _TRAINING_EACH)))


if __name__ == "__main__":
    main()
