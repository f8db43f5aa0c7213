"""`digits train` and `digits export`, as a person at a terminal sees them."""

import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import joblib
import numpy as np
import onnxruntime
import pytest
import skops.io
import typer
from PIL import Image
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from typer.testing import CliRunner, Result

from artifact.card import Card
from artifact.store import VersionFolder
from cli.commands.export import export
from cli.commands.train import train

ROOT = Path(__file__).resolve().parents[3]


def run(command, *arguments) -> Result:
    app = typer.Typer()
    app.command()(command)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def refused(result: Result, code: int = 1) -> str:
    """The one sentence on stderr."""
    assert result.exit_code == code, result.output
    [line] = result.stderr.splitlines()
    assert line.startswith("digits: ")
    return line


@pytest.fixture
def files(make_stranger, tmp_path) -> Path:
    """A stranger's classifier as model.skops and model.joblib, and test data as test.npz."""
    stranger = make_stranger(pixel_offset=0.0)
    skops.io.dump(stranger.classifier, tmp_path / "model.skops")
    joblib.dump(stranger.classifier, tmp_path / "model.joblib")
    np.savez(tmp_path / "test.npz", pixels=stranger.pixels.reshape(-1, 12, 9), labels=stranger.labels)
    return tmp_path


def test_a_stranger_s_model(files, make_stranger):
    """Three tanh layers, 5 classes, 12×9 pixels: exported with a report, and it says what scikit-learn says."""
    result = run(
        export,
        files / "model.skops",
        *("--test-data", files / "test.npz", "--pixel-max", 200, "--out", files / "models"),
        *("--name", "strange", "--version", 4, "--classes", "a, b,c,d,e", "--preparation", "blocks"),
    )
    assert result.exit_code == 0, result.output
    folder = VersionFolder(files / "models", "strange", 4)
    card = Card.from_json(folder.card.read_text())
    assert f"{card.accuracy:.2%} of 240 test images right" in result.stdout
    assert "108-9-7-6-5 tanh" in result.stdout
    assert (card.rows, card.cols, card.classes, card.dataset) == (12, 9, ("a", "b", "c", "d", "e"), "test")
    assert card.preparation == "blocks"
    assert "weights.png" in (folder.report / "report.md").read_text()
    stranger = make_stranger(pixel_offset=0.0)
    session = onnxruntime.InferenceSession(folder.onnx, providers=["CPUExecutionProvider"])
    [labels] = session.run(["label"], {"pixels": stranger.pixels})
    np.testing.assert_array_equal(labels, stranger.classifier.predict(stranger.inputs()))


def test_a_pickle_needs_trust(files):
    """A .joblib file is not read without --trust, which is explained; with it, it is."""
    arguments = (files / "model.joblib", "--test-data", files / "test.npz", "--out", files / "models")
    assert "runs the code in it" in refused(run(export, *arguments))
    assert not (files / "models").exists()
    trusted = run(export, *arguments, "--trust", "--pixel-max", 200)
    assert trusted.exit_code == 0, trusted.output
    assert (files / "models" / "model" / "1" / "model.onnx").exists()


def test_foreign_types_are_refused(files):
    """A .skops file with types that may run code is refused, naming them."""
    skops.io.dump(make_pipeline(FunctionTransformer(pickle.loads)), files / "evil.skops")
    result = run(export, files / "evil.skops", "--test-data", files / "test.npz", "--out", files / "models")
    assert "may run code when it is read: _pickle.loads" in refused(result)


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        ("missing.skops", "test.npz", "missing.skops is not there"),
        ("test.npz", "test.npz", "is neither .skops nor .joblib"),
        ("broken.skops", "test.npz", "broken.skops is no skops file"),
        ("model.skops", "missing.npz", "missing.npz is not there"),
        ("model.skops", "model.joblib", "model.joblib is no .npz file of plain arrays"),
        ("model.skops", "other.npz", "lacks `pixels` or `labels`"),
        ("model.skops", "objects.npz", "hold Python objects, expected numbers or text"),
        ("model.skops", "floats.npz", r"pixels are float64[240, 12, 9], expected uint8"),
        ("model.skops", "flat.npz", "108 inputs are no square image; say --rows and --cols"),
    ],
)
def test_bad_files_are_named(files, model, data, message):
    """Each file that is missing, damaged or of another form has its sentence; nothing is written."""
    with np.load(files / "test.npz") as arrays:
        pixels, labels = arrays["pixels"], arrays["labels"]
    (files / "broken.skops").write_bytes((files / "model.skops").read_bytes()[:999])
    np.savez(files / "other.npz", images=pixels)
    np.savez(files / "objects.npz", pixels=pixels, labels=labels.astype(object))
    np.savez(files / "floats.npz", pixels=pixels / 255, labels=labels)
    np.savez(files / "flat.npz", pixels=pixels.reshape(-1, 108), labels=labels)
    result = run(export, files / model, "--test-data", files / data, "--out", files / "models")
    assert message in refused(result)
    assert not (files / "models").exists()


def test_rows_and_columns_of_flat_pixels(files):
    """Flat pixels take their shape from --rows and --cols; one of them is enough."""
    with np.load(files / "test.npz") as arrays:
        np.savez(files / "flat.npz", pixels=arrays["pixels"].reshape(-1, 108), labels=arrays["labels"])
    given = (files / "model.skops", "--test-data", files / "flat.npz", "--pixel-max", 200, "--out", files / "models")
    assert run(export, *given, "--rows", 12).exit_code == 0
    card = Card.from_json((files / "models" / "model" / "1" / "card.json").read_text())
    assert (card.rows, card.cols) == (12, 9)
    assert "are 50 pixels" in refused(run(export, *given, "--rows", 10, "--cols", 5, "--force"))
    assert "exists; choose another version" in refused(run(export, *given, "--rows", 12))


def test_poor_accuracy_hints_at_the_scale(files, make_stranger):
    """When few images are right, the scale that was said is named as the likely cause."""
    result = run(
        export,
        *(files / "model.skops", "--test-data", files / "test.npz", "--out", files / "models"),
        *("--pixel-scale", 0.0001),
    )
    assert result.exit_code == 0
    assert "see --pixel-scale" in result.stderr


def test_unknown_recipe(tmp_path):
    """Wrong usage: exit code 2 and the recipes there are."""
    assert "there are: digits-8x8" in refused(run(train, "mnist", "--out", tmp_path), code=2)


def test_missing_mnist(tmp_path):
    """A data folder without MNIST: the sentence says what to put there."""
    line = refused(run(train, "mnist-16x16", "--out", tmp_path / "models", "--data-dir", tmp_path))
    assert "Put these four files" in line
    assert not (tmp_path / "models").exists()


def test_out_is_a_file(tmp_path):
    """A models folder that cannot be made is named."""
    (tmp_path / "models").touch()
    result = run(train, "digits-8x8", "--out", tmp_path / "models")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith(f"digits: {tmp_path / 'models'}")


def test_ctrl_c_says_how_to_go_on(tmp_path):
    """Ctrl-C in training: one sentence, exit code 130, no traceback."""
    code = "import typer; from cli.commands.train import train; a = typer.Typer(); a.command()(train); a()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "digits-8x8", "--out", str(tmp_path)],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list(tmp_path.rglob("*.checkpoint")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert told.endswith("digits: stopped; the same command continues\n")
    assert "Traceback" not in told


def test_training_on_a_folder_of_images(tmp_path):
    """Images of one's own, one subfolder a class, become a model that knows their names."""
    random = np.random.default_rng(5)
    for name, angle in (("bar", 0), ("pole", 1)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(16):
            picture = np.full((40, 40), 255, np.uint8)
            start, length = random.integers(4, 10, 2)
            picture[18 : 22 + number % 2, start : start + 16 + length] = 0
            Image.fromarray(np.rot90(picture, angle)).save(tmp_path / "photos" / name / f"{number}.png")
    given = ("digits-8x8", "--images", tmp_path / "photos", "--out", tmp_path / "models")
    assert "--images needs --name" in refused(run(train, *given), code=2)
    result = run(train, *given, "--name", "marks")
    assert result.exit_code == 0, result.output
    card = Card.from_json((tmp_path / "models" / "marks" / "1" / "card.json").read_text())
    assert card.classes == ("bar", "pole")
    assert card.output_activation == "logistic"
    assert card.accuracy == 1.0
