"""A model that nobody here has seen: exported, served, and classified right."""

from pathlib import Path

import numpy as np
import pytest
import skops.io
from digits_protocol.digits.v1 import digits_pb2 as pb
from sklearn.neural_network import MLPClassifier
from typer.testing import CliRunner

from cli.main import build
from tests.support.server import StartServer, Stub

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


@pytest.mark.front("grpcio")  # a front does not know where a model came from
def test_a_strangers_classifier_is_exported_served_and_right(tmp_path: Path, start_server: StartServer):
    """Three hidden layers, tanh, five classes that are no digits, 12×9 images."""
    pixels, labels = bars(3000, seed=1)
    fitted = MLPClassifier((20, 14, 8), activation="tanh", max_iter=60, random_state=1).fit(pixels / 255, labels)
    unseen, truth = bars(500, seed=2)
    model, data, models = tmp_path / "bars.skops", tmp_path / "test.npz", tmp_path / "models"
    skops.io.dump(fitted, model)
    np.savez(data, pixels=unseen.reshape(-1, ROWS, COLS), labels=truth)
    command = ["export", model, "--test-data", data, "--out", models, "--version", "3"]
    exported = CliRunner().invoke(build(["export"]), [str(each) for each in command])
    assert exported.exit_code == 0, exported.output

    server = start_server(models=models)
    with server.channel() as channel:
        stub = Stub(channel)
        answer = stub.classify(pb.ClassifyRequest(pixels=unseen.tobytes(), include_activations=True), timeout=20)
        assert (answer.model.name, answer.model.version) == ("bars", "3")
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
        card = stub.get_model(pb.GetModelRequest()).card
        assert list(card.classes) == ["2", "3", "5", "7", "11"]
        assert (card.rows, card.cols, list(card.layer_widths)) == (ROWS, COLS, [108, 20, 14, 8, 5])
