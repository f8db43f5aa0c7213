"""Models whose classes are named by text: what stands in every answer and table is the class, never its position."""

import json
import warnings
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import skops.io
from digits_client import DigitsClient
from PIL import Image
from sklearn.neural_network import MLPClassifier

from artifact.card import Card
from scoring import score
from tests.support.processes import environment, run_digits
from tests.support.server import StartServer
from tests.unit.scoring.jobs import table
from training.export.import_classifier import ExportOptions, import_classifier
from training.recipes import find
from training.train import train_all

Digits = tuple[np.ndarray, np.ndarray]


def export(folder: Path, name: str, pixels: np.ndarray, labels: np.ndarray) -> Card:
    """Fit on these, export as `digits export` does but for the report, and give the card."""
    with warnings.catch_warnings(action="ignore"):
        fitted = MLPClassifier((16,), max_iter=60, random_state=0).fit(pixels / 16, labels)
    skops.io.dump(fitted, folder / f"{name}.skops")
    np.savez(folder / f"{name}.npz", pixels=pixels, labels=labels)
    options = ExportOptions(pixel_max=16, preparation="blocks")
    with patch("training.export.import_classifier.write_report"):
        return import_classifier(folder / f"{name}.skops", folder / f"{name}.npz", options, folder / "models")[1]


@pytest.fixture
def some(digits: Digits) -> Digits:
    """The 4s and 9s among scikit-learn's digits."""
    chosen = np.isin(digits[1], (4, 9))
    return digits[0][chosen], digits[1][chosen]


def test_classes_called_by_numbers_are_the_digits_of_every_answer(
    some: Digits, start_server: StartServer, tmp_path: Path
):
    """By Classify, in the output label and in the columns of a table, wherever it is scored."""
    pixels, labels = some
    assert export(tmp_path, "text", pixels, labels.astype(str)).labels == (4, 9)
    np.save(tmp_path / "in.npy", pixels)
    server = start_server(models=tmp_path / "models")
    with DigitsClient(server.address) as client:
        said = [answer.digit for answer in client.classify(pixels)]
    assert np.mean(said == labels) > 0.95
    for where in ({"models": tmp_path / "models"}, {"server": server.address}):
        output = tmp_path / f"{next(iter(where))}.parquet"
        score(tmp_path / "in.npy", output, top_k=2, **where)
        found = table(output)
        assert found["digit"].to_pylist() == found["top_1"].to_pylist() == said
        assert ((found["score_9"].to_numpy() > found["score_4"].to_numpy()) == (np.array(said) == 9)).all()


@pytest.mark.parametrize("names", [(4, 9), ("4", "9"), ("four", "nine"), ("4", "nine")], ids=str)
def test_labels_of_every_form_give_the_same_accuracy(names: tuple, some: Digits, tmp_path: Path):
    """As text, as numbers, as floats; in a file of lines, of numbers, and as a column; each where it means a class."""
    pixels, labels = some
    shown = np.array([names[int(each == 9)] for each in labels])
    card = export(tmp_path, "text", pixels, shown)
    assert card.classes == tuple(map(str, names))
    np.save(tmp_path / "in.npy", pixels)
    (tmp_path / "text.txt").write_text("\n".join(map(str, shown)) + "\n")
    lines = [{"pixels": row.tolist(), "truth": str(each)} for row, each in zip(pixels, shown, strict=True)]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    jobs = [("in.npy", "text.txt"), ("in.jsonl", "truth")]
    if names in ((4, 9), ("4", "9")):
        for number, kind in enumerate((np.int64, np.uint8, np.float64, "U1")):
            np.save(tmp_path / f"{number}.npy", labels.astype(kind))
            jobs.append(("in.npy", f"{number}.npy"))
    for number, (file, truth) in enumerate(jobs):
        where = truth if truth == "truth" else tmp_path / truth
        summary = score(tmp_path / file, tmp_path / f"{number}.csv", models=tmp_path / "models", labels=where)
        assert summary.labelled == len(labels), truth
        assert summary.accuracy == card.accuracy > 0.95, truth


def test_a_network_trained_on_folders_called_by_numbers_answers_them(some: Digits, tmp_path: Path):
    """Training on a folder of images and `digits classify`, whose picture is named by the class."""
    pixels, labels = some
    for row, (image, label) in enumerate(zip(pixels[:120], labels[:120], strict=True)):
        folder = tmp_path / "images" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((image.reshape(8, 8) * 15).astype(np.uint8)).save(folder / f"{row}.png")
    models = tmp_path / "models"
    with patch("training.train.write_report"):
        train_all([replace(find("digits-8x8")[0], name="mine", epochs=60)], models, images=tmp_path / "images")
    files = sorted((tmp_path / "images").glob("*/*.png"))
    classify = ["classify", "--local", "--models", models, "--json", *files]
    done = run_digits(*classify, env=environment())
    said = [json.loads(line)["digit"] for line in done.stdout.splitlines()]
    truth = [int(file.parent.name) for file in files]
    assert np.mean(np.array(said) == truth) > 0.9
    summary = score(tmp_path / "images", tmp_path / "out.csv", models=models, labels="folder")
    assert summary.accuracy == np.mean(np.array(said) == truth)
