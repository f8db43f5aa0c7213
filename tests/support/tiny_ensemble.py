"""A committee of tiny networks for the 8×8 digits, trained on the spot in seconds."""

import dataclasses
from pathlib import Path

import numpy as np
from sklearn.neural_network import MLPClassifier

from artifact.store import VersionFolder
from training.data.datasets import digits
from training.evaluate.calibration import with_temperature
from training.fit.fit import fit
from training.recipes import find
from training.train import train_all

TINY = dataclasses.replace(
    find("digits-8x8")[0],
    name="tiny",
    hidden=(12, 7),
    epochs=24,
    learning_rate=1e-2,
    batch=128,
    augmentation=dataclasses.replace(find("digits-8x8")[0].augmentation, group=200),
    member_seeds=(1, 2, 3),
    calibration=300,
    evaluations=("An earlier committee, to see whether it can be drawn.",),
)


def train_tiny(out: Path) -> VersionFolder:
    """The committee as `digits train` makes it, below `out`."""
    [folder] = train_all([TINY], out)
    return folder


def fit_members(folder: Path, temperature: float) -> list[MLPClassifier]:
    """Its networks fitted one by one, at a temperature; checkpoints go to `folder`."""
    dataset = digits()
    learning = dataset.train[: len(dataset.train) - TINY.calibration]
    return [
        with_temperature(
            fit(TINY.member(seed), dataset, learning, seed=seed, checkpoint=folder / f"{seed}.checkpoint").classifier,
            temperature,
        )
        for seed in TINY.member_seeds
    ]


def layers_by_hand(member: MLPClassifier, pixels: np.ndarray) -> list[np.ndarray]:
    """What each layer of a network gives for raw pixels, in float64: hidden layers, then scores."""
    values, layers = (pixels - 5.0) / 16, []
    for depth, (weights, biases) in enumerate(zip(member.coefs_, member.intercepts_, strict=True), 1):
        values = values @ weights.astype(float) + biases.astype(float)
        if depth < len(member.coefs_):
            values = np.maximum(values, 0)
        layers.append(values)
    powers = np.exp(layers[-1] - layers[-1].max(axis=1, keepdims=True))
    layers[-1] = powers / powers.sum(axis=1, keepdims=True)
    return layers
