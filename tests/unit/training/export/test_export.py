"""A fitted classifier becomes a model folder, or a clear refusal."""

import dataclasses
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from scipy.special import expit, softmax
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import training.export.export
from artifact.card import CARD_KEY, Card
from artifact.names import biases_name, weights_name
from training.export.checks import ExportError
from training.export.export import check_parity, export
from training.export.golden_rows import choose_golden_rows

ACTIVATIONS = {
    "identity": lambda z: z,
    "logistic": expit,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}


def layers_by_hand(stranger) -> list[np.ndarray]:
    """The values of every layer, from scikit-learn's weights in float64."""
    values, layers = stranger.inputs(), []
    classifier = stranger.classifier
    for depth, (weights, biases) in enumerate(zip(classifier.coefs_, classifier.intercepts_, strict=True), 1):
        values = values @ weights + biases
        if depth < len(classifier.coefs_):
            values = ACTIVATIONS[classifier.activation](values)
        layers.append(values)
    if layers[-1].shape[1] == 1:
        one = expit(layers[-1])
        layers[-1] = np.hstack([1 - one, one])
    else:
        layers[-1] = softmax(layers[-1], axis=1)
    return layers


def run(folder, pixels, outputs=None):
    session = onnxruntime.InferenceSession(folder.onnx, providers=["CPUExecutionProvider"])
    names = outputs or [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pixels": pixels}), strict=True))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("classes", [range(10), range(2)], ids=["ten", "two"])
def test_every_layer_is_scikit_learns(make_stranger, tmp_path, activation, classes):
    """Scores and hidden outputs equal the layers computed from scikit-learn's own weights."""
    stranger = make_stranger(list(classes), activation=activation)
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    got = run(folder, stranger.pixels)
    *hidden, scores = layers_by_hand(stranger)
    assert list(got) == ["label", "scores", "hidden_1", "hidden_2", "hidden_3"]
    for depth, layer in enumerate(hidden, 1):
        assert got[f"hidden_{depth}"].dtype == np.float32
        np.testing.assert_allclose(got[f"hidden_{depth}"], layer, atol=1e-4, rtol=0)
    np.testing.assert_allclose(got["scores"], scores, atol=1e-5, rtol=0)
    np.testing.assert_allclose(got["scores"].sum(axis=1), 1, atol=1e-6)
    assert got["label"].dtype == np.int64
    np.testing.assert_array_equal(got["label"], stranger.classifier.predict(stranger.inputs()))


@pytest.mark.parametrize(
    ("classes", "names", "labels"),
    [
        (["zero", "one", "two"], ("one", "two", "zero"), (0, 1, 2)),
        (["no", "yes"], ("no", "yes"), (0, 1)),
        ([7, -3, 100], ("-3", "7", "100"), (-3, 7, 100)),
        ([2.0, 5.0], ("2", "5"), (2, 5)),
        ([False, True], ("0", "1"), (0, 1)),
        (np.array(["a", "b", "c"], dtype=object), ("a", "b", "c"), (0, 1, 2)),
        (["9", "4"], ("4", "9"), (4, 9)),
        (["1", "10", "2"], ("1", "10", "2"), (1, 10, 2)),
        (np.array(["5", "3", "7"], dtype=object), ("3", "5", "7"), (3, 5, 7)),
        (["03", "7.0"], ("03", "7.0"), (3, 7)),
        (["1", "2", "x"], ("1", "2", "x"), (0, 1, 2)),
        (["3", "03"], ("03", "3"), (0, 1)),
        (["1", "99999999999"], ("1", "99999999999"), (0, 1)),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, list) else "",
)
def test_labels_are_whole_numbers(make_stranger, tmp_path, classes, names, labels):
    """The label is the class where all classes are distinct whole numbers, as numbers or as text, else its position."""
    stranger = make_stranger(classes, hidden=(6,))
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    card = Card.from_json(folder.card.read_text())
    assert (card.classes, card.labels) == (names, labels)
    expected = np.array(labels)[
        np.searchsorted(stranger.classifier.classes_, stranger.classifier.predict(stranger.inputs()))
    ]
    np.testing.assert_array_equal(run(folder, stranger.pixels)["label"], expected)
    np.testing.assert_array_equal(folder.read_golden().labels, run(folder, folder.read_golden().pixels)["label"])


def test_graph_is_small_and_single_precision(make_stranger, tmp_path):
    """One cast, one product and sum and activation a layer, a softmax and an argmax; nothing in float64."""
    stranger = make_stranger(hidden=(5, 4), activation="relu")
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    graph = onnx.load(folder.onnx).graph
    layer = ["MatMul", "Add"]
    assert [node.op_type for node in graph.node] == [
        *("Cast", *layer, "Relu", *layer, "Relu", *layer, "Softmax", "ArgMax")
    ]
    assert {tensor.data_type for tensor in graph.initializer} == {onnx.TensorProto.FLOAT}
    wanted = {name(0, depth) for depth in (1, 2, 3) for name in (weights_name, biases_name)}
    assert {tensor.name for tensor in graph.initializer} == wanted
    [pixels] = graph.input
    assert (pixels.name, pixels.type.tensor_type.elem_type) == ("pixels", onnx.TensorProto.UINT8)


def test_first_layer_unfolds_to_scikit_learns(make_stranger, tmp_path):
    """Scale and offset taken out of the first layer give scikit-learn's weights and biases again."""
    stranger = make_stranger()
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    from artifact.weights import read_layer

    card = Card.from_json(folder.card.read_text())
    layer = read_layer(folder.onnx.read_bytes(), card, 0, 1)
    np.testing.assert_allclose(layer.weights, stranger.classifier.coefs_[0], atol=1e-6)
    np.testing.assert_allclose(layer.biases, stranger.classifier.intercepts_[0], atol=1e-5)


def test_weights_worn_down_to_nothing_are_nothing(make_stranger, tmp_path):
    """Processors are slow with subnormal numbers; all other weights stay what they were."""
    stranger = make_stranger(list(range(10)))
    for weights in stranger.classifier.coefs_:
        weights[::3] = 1e-39
        weights[1, 0] = -3e-31
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    named = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(folder.onnx).graph.initializer}
    for layer, weights in enumerate(stranger.classifier.coefs_, 1):
        written = named[weights_name(0, layer)]
        scale = stranger.description.pixel_scale if layer == 1 else 1
        kept = np.abs(weights) > 1e-30
        assert not written[~kept].any()
        np.testing.assert_allclose(written[kept], weights[kept] * scale, rtol=1e-6)


def test_same_classifier_same_bytes(make_stranger, tmp_path):
    """Exporting twice gives the same model.onnx, golden.npz and model.skops, byte for byte."""
    stranger = make_stranger()
    handed = (stranger.classifier, stranger.pixels, stranger.labels, stranger.description)
    once, twice = export(*handed, tmp_path / "a"), export(*handed, tmp_path / "b")
    for name in ("model.onnx", "golden.npz", "model.skops"):
        assert (once.path / name).read_bytes() == (twice.path / name).read_bytes(), name


def test_card_rides_in_the_model(make_stranger, tmp_path):
    """The metadata and card.json say the same; card.json adds the date."""
    stranger = make_stranger()
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    [entry] = onnx.load(folder.onnx).metadata_props
    assert entry.key == CARD_KEY
    beside = json.loads(folder.card.read_text())
    assert len(beside.pop("date")) == len("2026-01-01")
    assert json.loads(entry.value) == beside
    card = Card.from_json(entry.value)
    assert card.layer_widths == (108, 9, 7, 6, 5)
    assert card.accuracy == np.mean(stranger.classifier.predict(stranger.inputs()) == stranger.labels)
    assert sum(map(sum, card.confusion)) == card.test_rows == len(stranger.labels)
    assert card.tolerance == {"CPUExecutionProvider": 1e-5, "CUDAExecutionProvider": 1e-4}


@pytest.mark.parametrize("layer", [0, 1, 3])
def test_gate_refuses_a_wrong_weight(make_stranger, tmp_path, monkeypatch, layer):
    """When the ONNX file holds other weights than scikit-learn, nothing is written."""
    stranger = make_stranger()
    right = training.export.export.build_graph

    def wrong(classifiers, card, detector):
        [classifier] = classifiers
        coefs = [weights.copy() for weights in classifier.coefs_]
        coefs[layer][0, 0] += 0.05
        classifier = MLPClassifier(activation=classifier.activation)
        classifier.__dict__.update(vars(stranger.classifier) | {"coefs_": coefs})
        return right([classifier], card, detector)

    monkeypatch.setattr(training.export.export, "build_graph", wrong)
    with pytest.raises(ExportError, match=r"parity gate refuses: a score .* differs"):
        export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    assert not list(tmp_path.rglob("*.*"))


def test_gate_refuses_a_single_other_label(make_stranger, tmp_path):
    """One label that differs is refused though every score fits."""
    stranger = make_stranger()
    folder = export(stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    model, scores = folder.onnx.read_bytes(), stranger.classifier.predict_proba(stranger.inputs())
    labels = stranger.classifier.predict(stranger.inputs())
    assert check_parity(model, stranger.pixels, scores, labels) <= 1e-5
    labels[17] = (labels[17] + 1) % 5
    with pytest.raises(ExportError, match="1 of 240 labels differ"):
        check_parity(model, stranger.pixels, scores, labels)


def test_golden_rows_hold_the_hardest_of_every_class():
    """Of each class about as many rows, its least certain one among them; all rows where there are few."""
    random = np.random.default_rng(1)
    scores = random.dirichlet(np.ones(10), 500)
    truth = random.integers(0, 10, 500)
    rows = choose_golden_rows(truth, scores)
    assert len(set(rows.tolist())) == 64
    assert np.bincount(truth[rows]).tolist() == [7] * 4 + [6] * 6
    ordered = np.sort(scores, axis=1)
    margin = ordered[:, -1] - ordered[:, -2]
    for value in range(10):
        of_class = np.flatnonzero(truth == value)
        assert of_class[margin[of_class].argmin()] in rows
    np.testing.assert_array_equal(choose_golden_rows(truth[:30], scores[:30]), np.arange(30))


def test_an_existing_version_stays(make_stranger, tmp_path):
    """A version that is there is refused, and replaced as a whole when forced."""
    stranger = make_stranger()
    handed = (stranger.classifier, stranger.pixels, stranger.labels, stranger.description, tmp_path)
    folder = export(*handed)
    (folder.path / "stale").touch()
    with pytest.raises(ExportError, match="exists; choose another version, or --force"):
        export(*handed)
    assert (folder.path / "stale").exists()
    export(*handed, force=True)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        *("card.json", "golden.npz", "model.onnx", "model.skops")
    ]
    assert [path.name for path in folder.path.parent.iterdir()] == ["3"]


def test_a_failed_export_leaves_nothing(make_stranger, tmp_path):
    """An error while the folder is filled leaves neither a version nor anything beside it."""
    stranger = make_stranger()

    def report(path, card, scores, curves):
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        export(
            stranger.classifier,
            stranger.pixels,
            stranger.labels,
            stranger.description,
            tmp_path,
            report=report,
        )
    assert list(tmp_path.iterdir()) == []


def several_labels():
    classifier = MLPClassifier((3,), max_iter=2)
    return classifier.fit(np.eye(108)[:20], np.tile([[0, 1], [1, 1]], (10, 1)))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("classifier", "message"),
    [
        (lambda: MLPClassifier((3,)), "is not fitted"),
        (lambda: LogisticRegression().fit(np.eye(108)[:4], [0, 1, 0, 1]), "got LogisticRegression"),
        (lambda: MLPRegressor((3,)), "got MLPRegressor"),
        (lambda: "text", "got str"),
        (lambda: make_pipeline(StandardScaler(), MLPClassifier()), "got Pipeline; its steps before go into --pixel-s"),
        (several_labels, "several labels"),
    ],
    ids=["unfitted", "other classifier", "regressor", "no estimator", "pipeline", "multi-label"],
)
def test_other_estimators_are_refused(make_stranger, tmp_path, classifier, message):
    """Whatever is no fitted MLPClassifier of one label gets one clear sentence."""
    stranger = make_stranger()
    with pytest.raises(ExportError, match=message):
        export(classifier(), stranger.pixels, stranger.labels, stranger.description, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixels": lambda p: p.astype(float)}, r"float64\[240, 108\], expected uint8 \[N, 108\]"),
        ({"pixels": lambda p: p[:, :100]}, r"uint8\[240, 100\], expected"),
        ({"pixels": lambda p: p[:0]}, "at least 1"),
        ({"labels": lambda y: y[:-1]}, r"shape \[239\], expected \[240\]"),
        ({"labels": lambda y: y + 40}, "test label 40 is none of the classes 0, 1, 2, 3, 4"),
        ({"labels": lambda y: np.char.add("no ", y.astype(str))}, "is none of the classes"),
        ({"rows": 10}, "has 108 inputs, but 10 rows × 9 columns"),
        ({"pixel_max": 100}, "above pixel_max 100"),
        ({"pixel_scale": 0.0}, "pixel_scale is 0.0"),
        ({"classes": ("a", "b")}, "2 names of classes were given, and the MLPClassifier has 5"),
        ({"classes": ("a", "b", "c", "d", "a")}, "classes is .*, expected different names, not blank, of printable"),
        ({"classes": ("a", "b", "c", "d", "a ")}, "classes is .*, expected different names"),
        ({"classes": ("a", "b", "c", "\u00e9", "e\u0301")}, "classes is .*, expected different names"),
        ({"classes": ("a", "b", "c", "d", " ")}, "classes is .*, expected different names"),
        ({"classes": ("a", "b", "c", "d", "\x1b[31m")}, r"classes is .*'\\x1b\[31m'\), expected different names"),
        ({"classes": ("a", "b", "c", "d", "\udcff")}, r"classes is .*'\\udcff'\), expected different names"),
        ({"name": "a/b"}, "name is 'a/b'"),
        ({"version": 0}, "version is 0"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_does_not_fit_is_refused(make_stranger, tmp_path, change, message):
    """Test data or a description that contradicts the classifier is refused, naming what is wrong."""
    stranger = make_stranger()
    pixels = change.pop("pixels", lambda p: p)(stranger.pixels)
    labels = change.pop("labels", lambda y: y)(stranger.labels)
    with pytest.raises(ExportError, match=message):
        export(stranger.classifier, pixels, labels, dataclasses.replace(stranger.description, **change), tmp_path)
    assert not list(tmp_path.rglob("*.*"))


@pytest.mark.parametrize("kind", [str, int, float, object])
@pytest.mark.parametrize("classes", [["4", "9", "10"], [4, 9, 10], [4.0, 9.0, 10.0]], ids=["text", "int", "float"])
def test_test_labels_mean_a_class_however_they_are_written(make_stranger, tmp_path, classes, kind):
    """As text, as numbers and as objects the same labels give the same accuracy."""
    stranger = make_stranger(classes, hidden=(6,))
    written = stranger.labels.astype(float).astype(int).astype(kind)
    folder = export(stranger.classifier, stranger.pixels, written, stranger.description, tmp_path)
    accuracy = stranger.classifier.score(stranger.inputs(), stranger.labels)
    assert Card.from_json(folder.card.read_text()).accuracy == accuracy > 0.5


def test_names_that_are_numbers_are_the_labels(make_stranger, tmp_path):
    """Names that are given for the classes count as those of a classifier that was fitted on text."""
    stranger = make_stranger([0, 1, 2], hidden=(6,))
    about = dataclasses.replace(stranger.description, classes=("30", "10", "20"))
    card = Card.from_json(
        export(stranger.classifier, stranger.pixels, stranger.labels, about, tmp_path).card.read_text()
    )
    assert (card.classes, card.labels) == (("30", "10", "20"), (30, 10, 20))
