"""`digits learn`: the lesson's network learns before one's eyes, by plain gradient descent."""

import gzip
import json
from enum import Enum
from importlib.resources import files
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_FILE = "web/examples/mnist-training.gz"
_PIXELS = 784
_JUDGED = 400
"""Digits that are held back."""


class _Activation(Enum):
    SIGMOID = "sigmoid"
    RELU = "relu"


def learn(
    epochs: Annotated[int, typer.Option(help="Times that all digits are learned from.", min=1, max=1000)] = 20,
    learning_rate: Annotated[float, typer.Option(help="Length of a step, as a factor of the gradient.")] = 0.1,
    batch: Annotated[int, typer.Option(help="Digits whose mean gradient makes a step.", min=1, max=1400)] = 10,
    activation: Annotated[_Activation, typer.Option(help="Of the hidden layers.")] = _Activation.RELU,
    seed: Annotated[int, typer.Option(help="Of the weights at the start and of the order.", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object for each epoch.")] = False,
) -> None:
    """Let a 784-16-16-10 learn 1,400 of MNIST's training digits from random weights; 400 others judge it.

    The steps are those of scikit-learn's solver "sgd". Nothing is stored: `digits train` makes models to serve.
    """
    import numpy as np

    from cli.errors import fail
    from training.lesson import Learner

    if not 0 < learning_rate <= 100:
        fail(f"--learning-rate is {learning_rate:g}, expected more than 0 and at most 100", code=2)
    inputs, labels = _read()
    judged, judged_labels = inputs[-_JUDGED:], labels[-_JUDGED:]
    inputs, labels = inputs[:-_JUDGED], labels[:-_JUDGED]
    learner = Learner.random((_PIXELS, 16, 16, 10), activation.value, seed)
    random = np.random.default_rng(seed)
    if not as_json:
        typer.echo(f"784-16-16-10, {activation.value}, {len(labels)} digits to learn from, {_JUDGED} to be judged by")
        typer.echo("epoch     cost   right of those learned from   of the others")
    for epoch in range(epochs + 1):
        cost = None
        if epoch:
            cost = learner.epoch(inputs, labels, random.permutation(len(labels)), learning_rate, batch)
        shares = [
            float(np.mean(learner.scores(x).argmax(axis=1) == y))
            for x, y in ((inputs, labels), (judged, judged_labels))
        ]
        if as_json:
            typer.echo(
                json.dumps({"epoch": epoch, "cost": cost, "accuracy": shares[0], "held_back_accuracy": shares[1]})
            )
        else:
            told = "       -" if cost is None else f"{cost:8.4f}"
            typer.echo(f"{epoch:5} {told} {shares[0]:29.1%} {shares[1]:15.1%}")


def _read() -> "tuple[NDArray[np.float64], NDArray[np.int64]]":
    """Pixels [N, 784] as 0..1, and labels [N], of the digits that the page ships."""
    import numpy as np

    rows = np.frombuffer(gzip.decompress((files("service") / _FILE).read_bytes()), np.uint8).reshape(-1, 1 + _PIXELS)
    return rows[:, 1:] / 255, rows[:, 0].astype(np.int64)
