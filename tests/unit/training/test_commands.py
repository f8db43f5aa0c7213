"""`digits train` and `digits export`, as a person at a terminal sees them."""

import pickle
import signal
import subprocess
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
from tests.support.processes import DIGITS, ROOT


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


@pytest.mark.parametrize("losses", [5, ["x"], [float("nan")] * 3, [-1.0], [[1.0]]], ids=str)
def test_odd_losses_are_not_drawn(files, losses):
    """A file may hold anything there; the model does not depend on it."""
    classifier = joblib.load(files / "model.joblib")
    classifier.loss_curve_ = losses
    joblib.dump(classifier, files / "odd.joblib")
    given = ("--trust", "--test-data", files / "test.npz", "--pixel-max", 200, "--out", files / "models")
    result = run(export, files / "odd.joblib", *given)
    assert result.exit_code == 0, result.output
    page = (files / "models" / "odd" / "1" / "report" / "report.md").read_text()
    assert "confusion.png" in page
    assert "loss.png" not in page


def test_a_thousand_classes_have_a_picture_of_bounded_size(make_stranger, files):
    """Names and numbers have no room in it; the file says how large the picture is."""
    stranger = make_stranger(list(range(300)), hidden=(3,), rows=2, cols=2, images=300, pixel_offset=0.0)
    skops.io.dump(stranger.classifier, files / "many.skops")
    np.savez(files / "many.npz", pixels=stranger.pixels, labels=stranger.labels)
    given = ("--test-data", files / "many.npz", "--pixel-max", 200, "--out", files / "models")
    result = run(export, files / "many.skops", *given)
    assert result.exit_code == 0, result.output
    report = files / "models" / "many" / "1" / "report"
    for name in ("confusion.png", "mistakes.png"):
        with Image.open(report / name) as picture:
            assert max(picture.size) < 3000


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
    assert "was it fitted on pixels of another scale (--pixel-scale)" in result.stderr


def test_images_of_dark_ink_are_told(make_stranger, files):
    """Their accuracy is not that for image files, whose ink becomes bright; with bright ink there is no such line."""
    stranger = make_stranger(hidden=(6,), pixel_offset=0.0)
    for name, pixels in (("dark", 200 - stranger.pixels // 3), ("bright", stranger.pixels // 3)):
        np.savez(files / "test.npz", pixels=pixels.reshape(-1, 12, 9), labels=stranger.labels)
        given = ("--test-data", files / "test.npz", "--pixel-max", 200, "--name", name, "--out", files / "models")
        result = run(export, files / "model.skops", *given)
        assert result.exit_code == 0
        assert ("most golden rows have bright corners" in result.stderr) == (name == "dark")


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


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_training_is_ended(tmp_path, number: signal.Signals, code: int):
    """Ctrl-C in training says how to go on; SIGTERM ends it too; both without a traceback, and with its checkpoint."""
    process = subprocess.Popen(
        [DIGITS, "train", "digits-8x8", "--out", tmp_path], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.rglob("*.checkpoint")):
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.01)
    process.send_signal(number)
    told = process.communicate(timeout=30)[1]
    assert process.returncode == code
    assert told.endswith("digits: stopped; the same command continues\n") == (number == signal.SIGINT)
    assert "Traceback" not in told
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".checkpoint"}


def test_a_script_s_training_in_the_background_is_not_ended_by_ctrl_c(tmp_path):
    """A shell starts it with SIGINT ignored."""
    process = subprocess.Popen(
        ["sh", "-c", f"trap '' INT; exec {DIGITS} train digits-8x8 --out {tmp_path}"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    seen: set[int] = set()
    while len(seen) < 4:  # Ctrl-C would end it with the second one
        assert process.poll() is None, process.stderr.read()
        seen |= {file.stat().st_mtime_ns for file in tmp_path.rglob("*.checkpoint")}
        if len(seen) == 1:
            process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 143


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
    given = ("mnist-16x16:2", "--images", tmp_path / "photos", "--out", tmp_path / "models")
    assert "--images needs --name" in refused(run(train, *given), code=2)
    assert "--without is for the sources" in refused(run(train, *given, "--name", "marks", "--without", "a"), code=2)
    result = run(train, *given, "--name", "marks")
    assert result.exit_code == 0, result.output
    card = Card.from_json((tmp_path / "models" / "marks" / "2" / "card.json").read_text())
    assert card.classes == ("bar", "pole")
    assert card.output_activation == "logistic"
    assert card.accuracy == 1.0
