"""What the committed models say over gRPC is exactly what their cards and scikit-learn say."""

import json

import numpy as np
import pytest
import skops.io
from digits_protocol.digits.v1 import digits_pb2 as pb
from sklearn.neural_network import MLPClassifier

from artifact.store import VersionFolder
from tests.support.server import MODELS, Stub
from training.data.datasets import held_out_digits
from training.export.extract import read_members
from training.variants.variants import read_version


def classify(stub: Stub, pixels: np.ndarray, *, rows: int = 500, **request) -> list[pb.Prediction]:
    predictions: list[pb.Prediction] = []
    for start in range(0, len(pixels), rows):
        body = pixels[start : start + rows].tobytes()
        predictions += stub.classify(pb.ClassifyRequest(pixels=body, **request), timeout=30).predictions
    return predictions


def members(name: str, version: str) -> list[MLPClassifier]:
    """The networks of the model as scikit-learn has them."""
    path = MODELS / name / version / "model.skops"
    if not path.exists():  # too large to be kept beside its model; then it comes out of it again
        model, card = read_version(VersionFolder(MODELS, name, int(version)))
        return read_members(model, card)
    return [skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))]


def layers(model: MLPClassifier, card: dict, pixels: np.ndarray) -> list[np.ndarray]:
    """The outputs of every hidden layer by scikit-learn's own weights, in float64 with NumPy alone."""
    activation = {
        "logistic": lambda z: 1 / (1 + np.exp(-z)),
        "relu": lambda z: np.maximum(z, 0),
        "tanh": np.tanh,
        "identity": lambda z: z,
    }[model.activation]
    values = (pixels.astype(np.float64) - card["pixel_offset"]) * card["pixel_scale"]
    hidden = []
    for weights, biases in zip(model.coefs_[:-1], model.intercepts_[:-1], strict=True):
        values = activation(values @ weights + biases)
        hidden.append(values)
    return hidden


def looked_into(stub: Stub, fitted: MLPClassifier, **which) -> None:
    """One network of a model, layer by layer."""
    shapes = stub.get_network(pb.GetNetworkRequest(**which))
    widths = [len(fitted.coefs_[0]), *(len(biases) for biases in fitted.intercepts_)]
    assert list(shapes.layer_widths) == widths
    assert [(len(layer.weights), len(layer.biases)) for layer in shapes.layers] == [(0, 0)] * len(fitted.coefs_)
    for number, (weights, biases) in enumerate(zip(fitted.coefs_, fitted.intercepts_, strict=True), 1):
        answer = stub.get_network(pb.GetNetworkRequest(**which, layer=number))
        [layer] = answer.layers
        assert layer.activation == (fitted.out_activation_ if number == len(fitted.coefs_) else fitted.activation)
        assert (layer.layer, layer.inputs, layer.neurons) == (number, *weights.shape)
        got = np.array(layer.weights).reshape(weights.shape)
        np.testing.assert_allclose(got, weights, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(layer.biases, biases, rtol=1e-5, atol=1e-5)


def held_out(name: str, mnist_test) -> tuple[np.ndarray, np.ndarray]:
    if name.startswith("mnist"):
        return mnist_test
    part = held_out_digits()
    return part.pixels, part.labels


COMMITTED = [
    ("digits-8x8", "1"),
    ("mnist-16x16", "1"),
    ("mnist-16x16", "2"),
    ("mnist-16x16", "3"),
    ("mnist-16x16", "4"),
    ("mnist-256x128", "2"),
    ("mnist-committee", "2"),
    ("mnist-large", "1"),
]
# Either front is asked for one of them: it does not know which model answers.
EACH = [
    pytest.param(*each, marks=() if each == ("mnist-16x16", "2") else pytest.mark.front("grpcio")) for each in COMMITTED
]


@pytest.mark.parametrize(("name", "version"), EACH)
def test_the_whole_test_set_gives_the_accuracy_and_confusion_matrix_of_the_card(stub, mnist_test, name, version):
    """Every test image goes over gRPC; the counts equal the card's, not nearly but exactly."""
    pixels, labels = held_out(name, mnist_test)
    predictions = classify(stub, pixels, model=name, version=version)
    assert len(predictions) == len(labels)
    predicted = np.array([prediction.digit for prediction in predictions])
    confusion = np.zeros((10, 10), int)
    np.add.at(confusion, (labels.astype(int), predicted), 1)
    card = stub.get_model(pb.GetModelRequest(model=name, version=version)).card
    assert confusion.ravel().tolist() == list(card.confusion)
    assert (predicted == labels).mean() == card.accuracy
    assert card.test_rows == len(labels)


@pytest.mark.parametrize(("name", "version"), EACH)
def test_scores_are_one_per_class_sum_to_one_and_give_digit_and_margin(stub, mnist_test, name, version):
    """Scores, digit and margin of each prediction agree with one another."""
    pixels, _ = held_out(name, mnist_test)
    for prediction in classify(stub, pixels[:200], model=name, version=version):
        assert len(prediction.scores) == 10
        assert sum(prediction.scores) == pytest.approx(1, abs=1e-5)
        assert prediction.digit == int(np.argmax(prediction.scores))
        second, best = sorted(prediction.scores)[-2:]
        assert prediction.margin == pytest.approx(best - second, abs=1e-6)


@pytest.mark.parametrize(("name", "version"), EACH)
def test_activations_are_those_of_scikit_learns_own_weights(stub, mnist_test, name, version):
    """Every hidden layer within 1e-4, and the first activation is the pixels that were sent."""
    pixels, _ = held_out(name, mnist_test)
    pixels = pixels[:100]
    card = json.loads((MODELS / name / version / "card.json").read_text())
    hidden = [layer for member in members(name, version) for layer in layers(member, card, pixels)]
    predictions = classify(stub, pixels, model=name, version=version, include_activations=True)
    for row, prediction in enumerate(predictions):
        names = [layer.name for layer in prediction.activations]
        assert names == ["pixels", *(f"hidden_{i + 1}" for i in range(len(hidden)))]
        assert list(prediction.activations[0].values) == pixels[row].tolist()
        for layer, wanted in zip(prediction.activations[1:], hidden, strict=True):
            assert np.abs(np.array(layer.values) - wanted[row]).max() < 1e-4


def test_activations_come_only_when_asked_for(stub, mnist_test):
    """A plain call carries none."""
    [prediction] = classify(stub, mnist_test[0][:1])
    assert not prediction.activations


@pytest.mark.parametrize(("name", "version"), EACH)
def test_the_network_is_given_as_scikit_learn_has_it(stub, name, version):
    """Weights and biases of every layer, unfolded, within float32 of `coefs_` and `intercepts_`."""
    for member, fitted in enumerate(members(name, version)):
        looked_into(stub, fitted, model=name, version=version, member=member)


def test_mnist_16x16_has_the_13002_parameters_of_the_lesson(stub):
    """784-16-16-10, a sigmoid in versions 1 and 3, and a ReLU in 2 and 4."""
    for version, activation in zip("1234", ("logistic", "relu") * 2, strict=True):
        card = stub.get_model(pb.GetModelRequest(model="mnist-16x16", version=version)).card
        assert list(card.layer_widths) == [784, 16, 16, 10]
        assert card.parameters == 13_002
        assert card.activation == activation


def test_models_are_listed_with_shape_range_classes_and_limits(stub):
    """ListModels says all that a client needs to write a request."""
    answer = stub.list_models(pb.ListModelsRequest())
    versions = {(model.name, version.version): version for model in answer.models for version in model.versions}
    assert sorted(versions) == COMMITTED
    assert all(version.state == pb.MODEL_STATE_READY for version in versions.values())
    small = versions["digits-8x8", "1"]
    assert (small.rows, small.cols, small.pixel_max) == (8, 8, 16)
    assert list(small.classes) == [str(digit) for digit in range(10)]
    large = versions["mnist-16x16", "2"]
    assert (large.rows, large.cols, large.pixel_max) == (28, 28, 255)
    assert answer.default_model == "mnist-256x128"
    assert (answer.max_rows, answer.max_message_bytes) == (1024, 16 * 2**20)


def test_an_answer_says_who_gave_it_and_where_the_time_went(stub, mnist_test):
    """Identity and timings; an empty model and version mean the default's newest."""
    answer = stub.classify(pb.ClassifyRequest(pixels=mnist_test[0][:3].tobytes()))
    assert (answer.model.name, answer.model.version) == ("mnist-256x128", "2")
    assert len(answer.model.sha256) == 64
    assert answer.model.execution_provider == "CPUExecutionProvider"
    assert answer.timings.batch_rows >= 3
    assert 0 < answer.timings.inference_us < 10_000_000
