"""A model that nobody here has seen: exported, served, and classified right."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import pytest
import skops.io
from sklearn.neural_network import MLPClassifier

from stubs.digits.v1 import digits_pb2 as pb
from tests.harness import DIGITS, Server, StartServer, Stub, environment

ROWS, COLS = 12, 9
LABELS = np.array([2, 3, 5, 7, 11])


def bars(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Images with as many bright columns as their class's position says, in noise: uint8 [N, 108], labels [N]."""
    random = np.random.default_rng(seed)
    positions = random.integers(0, len(LABELS), count)
    images = random.integers(0, 40, (count, ROWS, COLS))
    for image, position in zip(images, positions, strict=True):
        columns = random.permutation(COLS)[: position + 1]
        image[:, columns] += random.integers(80, 160)
    return images.reshape(count, -1).astype(np.uint8), LABELS[positions]


@dataclass(frozen=True)
class Stranger:
    """A classifier, what it never saw, and the folder that it was exported to from either kind of file."""

    fitted: MLPClassifier
    unseen: np.ndarray
    truth: np.ndarray
    models: Path


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Stranger:
    """Three hidden layers, tanh, five classes that are no digits, 12×9 images."""
    folder = tmp_path_factory.mktemp("stranger")
    fitted = MLPClassifier((20, 14, 8), activation="tanh", max_iter=60, random_state=1)
    pixels, labels = bars(3000, seed=1)
    fitted.fit(pixels / 255, labels)
    unseen, truth = bars(500, seed=2)
    skops.io.dump(fitted, folder / "bars.skops")
    joblib.dump(fitted, folder / "rods.joblib")
    np.savez(folder / "test.npz", pixels=unseen.reshape(-1, ROWS, COLS), labels=truth)
    for file, *trust in (("bars.skops",), ("rods.joblib", "--trust")):
        where = ["--test-data", folder / "test.npz", "--out", folder / "models", "--version", "3"]
        command = [DIGITS, "export", folder / file, *where, *trust]
        subprocess.run(command, check=True, env=environment(), capture_output=True)
    return Stranger(fitted, unseen, truth, folder / "models")


def test_a_strangers_classifier_is_exported_served_and_right(stranger: Stranger, start_server: StartServer):
    """Whatever file it came in."""
    server = start_server(models=stranger.models)
    for name in ("bars", "rods"):
        check(server, stranger, name)


def check(server: Server, stranger: Stranger, name: str) -> None:
    """The model of that name says what scikit-learn says, in every layer."""
    fitted, unseen, truth = stranger.fitted, stranger.unseen, stranger.truth
    with server.channel() as channel:
        stub = Stub(channel)
        request = pb.ClassifyRequest(model=name, pixels=unseen.tobytes(), include_activations=True)
        answer = stub.classify(request, timeout=20)
        assert (answer.model.name, answer.model.version) == (name, "3")
        digits = np.array([prediction.digit for prediction in answer.predictions])
        assert np.array_equal(digits, fitted.predict(unseen / 255))
        assert (digits == truth).mean() > 0.9
        scores = np.array([prediction.scores for prediction in answer.predictions])
        assert np.abs(scores - fitted.predict_proba(unseen / 255)).max() < 1e-5
        values = unseen / 255
        for index, name in enumerate(("hidden_1", "hidden_2", "hidden_3")):
            values = np.tanh(values @ fitted.coefs_[index] + fitted.intercepts_[index])
            got = np.array([prediction.activations[index + 1].values for prediction in answer.predictions])
            assert answer.predictions[0].activations[index + 1].name == name
            assert np.abs(got - values).max() < 1e-4
        card = stub.get_model(pb.GetModelRequest(model=name)).card
        assert list(card.classes) == ["2", "3", "5", "7", "11"]
        assert (card.rows, card.cols, list(card.layer_widths)) == (ROWS, COLS, [108, 20, 14, 8, 5])
