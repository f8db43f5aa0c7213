"""Classifiers put together from stored weights, which lack what `fit` leaves behind."""

import dataclasses

import numpy as np
import pytest
from sklearn.neural_network import MLPClassifier

from artifact.card import Card
from tests.unit.training.running import run
from training.export.checks import ExportError
from training.export.export import export
from training.export.skops_file import read_fitted


def stored(classifier: MLPClassifier, kind=np.asarray, **more) -> MLPClassifier:
    """One put together from stored weights, with what `predict_proba` needs and no more."""
    made = MLPClassifier((3,), activation=classifier.activation)
    made.coefs_ = [np.asarray(each, np.float32 if kind is np.float32 else None) for each in classifier.coefs_]
    made.intercepts_ = [kind(each) for each in classifier.intercepts_]
    for name in ("n_layers_", "n_outputs_", "out_activation_"):
        setattr(made, name, getattr(classifier, name))
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, np.float32, np.atleast_2d])
@pytest.mark.parametrize("classes", [[7, 3, 5], [2, 8], ["4", "9"]], ids=str)
def test_a_classifier_put_together_from_weights_is_exported_where_it_predicts(make_stranger, tmp_path, kind, classes):
    """Whatever its weights are held as; the scores are those of its own `predict_proba`."""
    stranger = make_stranger(classes, hidden=(6, 4))
    classes = stranger.classifier.classes_.tolist()
    made = stored(stranger.classifier, kind, classes_=classes)
    folder = export(made, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    got = run(folder.onnx, stranger.pixels)
    np.testing.assert_allclose(got["scores"], made.predict_proba(stranger.inputs()), atol=1e-5, rtol=0)
    np.testing.assert_array_equal(got["label"], stranger.classifier.predict(stranger.inputs()).astype(int))
    assert read_fitted(folder.path / "model.skops").predict(stranger.inputs()).tolist() == (
        stranger.classifier.predict(stranger.inputs()).tolist()
    )


def test_two_neurons_of_a_softmax_are_two_classes(make_stranger, tmp_path):
    """scikit-learn fits one neuron for two classes; stored weights may come from elsewhere."""
    stranger = make_stranger([0, 1], hidden=(5,))
    made = stored(stranger.classifier, classes_=np.arange(2), n_outputs_=2, out_activation_="softmax")
    last, bias = made.coefs_[-1], made.intercepts_[-1]
    made.coefs_[-1], made.intercepts_[-1] = np.hstack([0 * last, last]), np.hstack([0 * bias, bias])
    folder = export(made, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    expected = stranger.classifier.predict_proba(stranger.inputs())
    np.testing.assert_allclose(run(folder.onnx, stranger.pixels)["scores"], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("lacking", ["coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_", "classes_"])
def test_what_a_classifier_lacks_is_named(make_stranger, tmp_path, lacking):
    """In one sentence, where `predict_proba` would not work or nothing says what the classes are."""
    stranger = make_stranger()
    made = stored(stranger.classifier, classes_=stranger.classifier.classes_)
    delattr(made, lacking)
    with pytest.raises(ExportError, match=lacking):
        export(made, stranger.pixels, stranger.labels, stranger.description, tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        {"coefs_": [np.zeros((108, 3)), np.zeros((4, 5))]},
        {"coefs_": [[[1.0], [1.0, 2.0]]]},
        {
            "coefs_": [np.zeros((108, 0)), np.zeros((0, 5))],
            "intercepts_": [np.zeros(0), np.zeros(5)],
            "n_layers_": 3,
        },
        {"intercepts_": []},
        {"n_layers_": 2},
        {"classes_": [1, 1, 2, 3, 4]},
        {"classes_": [1, 2, 3, 4]},
        {"out_activation_": "magic"},
    ],
    ids=str,
)
def test_weights_that_do_not_fit_are_refused(make_stranger, tmp_path, change):
    """Whatever does not fit, it is a sentence and no traceback."""
    stranger = make_stranger()
    made = stored(stranger.classifier, classes_=stranger.classifier.classes_)
    for name, value in change.items():
        setattr(made, name, value)
    with pytest.raises(ExportError):
        export(made, stranger.pixels, stranger.labels, stranger.description, tmp_path)


def test_without_classes_the_names_given_are_the_classes(make_stranger, tmp_path):
    """A classifier that does not know its classes takes those of the description."""
    stranger = make_stranger()
    about = dataclasses.replace(stranger.description, classes=("0", "1", "2", "3", "4"))
    folder = export(stored(stranger.classifier), stranger.pixels, stranger.labels, about, tmp_path)
    assert Card.from_json(folder.card.read_text()).labels == (0, 1, 2, 3, 4)
