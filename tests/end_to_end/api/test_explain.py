"""Explain and GetLearning over the wire."""

import grpc
import numpy as np
import pytest
from digits_client import AsyncDigitsClient, DigitsClient, InvalidInput
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest

from artifact.store import VersionFolder
from tests.support.http_calls import ask, detail, encoded
from tests.support.pictures import file_of
from tests.support.server import MODELS, STEM, Server, Stub

EXPLAIN = STEM + "Explain"
METHOD = EXPLAIN.removeprefix("/")
MODEL = "mnist-16x16"
ONE = bytes(784)


@pytest.fixture(scope="module")
def digit(mnist_test) -> bytes:
    return mnist_test[0][4].tobytes()


@pytest.mark.parametrize(("version", "members"), [("mnist-16x16:4", 1), ("mnist-16x16:3", 1), ("mnist-committee:2", 4)])
def test_the_parts_sum_up_and_the_change_is_another_class(stub: Stub, digit: bytes, version: str, members: int):
    """Of every network of the model; the prediction is that of Classify, of the changed image too."""
    name, _, number = version.partition(":")
    which = {"model": name, "version": number}
    answer = stub.explain(pb.ExplainRequest(**which, pixels=digit, find_change=True), timeout=60)
    classified = stub.classify(pb.ClassifyRequest(**which, pixels=digit + answer.change.pixels), timeout=20)
    assert answer.prediction.scores == classified.predictions[0].scores
    assert answer.prediction.candidates == classified.predictions[0].candidates
    assert answer.model == classified.model
    assert answer.pixels == digit
    assert answer.explained_class == answer.prediction.digit
    assert len(answer.members) == members
    for member in answer.members:
        assert member.exact == (version != "mnist-16x16:3")
        names = [layer.name for layer in member.layers]
        assert names == ["pixels", *(f"hidden_{depth}" for depth in range(1, len(names)))]
        for layer in member.layers:
            assert sum(layer.contributions) + layer.rest == pytest.approx(member.logit, abs=1e-4)
    changed, image = (np.frombuffer(each, np.uint8) for each in (answer.change.pixels, digit))
    assert answer.change.changed_pixels == np.count_nonzero(changed != image)
    assert 0 < answer.change.changed_pixels < 50
    assert answer.change.prediction.digit == classified.predictions[1].digit != answer.prediction.digit


def test_a_class_may_be_named(stub: Stub, digit: bytes):
    """The one to explain, and the one to change to."""
    request = pb.ExplainRequest(model=MODEL, pixels=digit, explained_class=9, find_change=True, changed_class=9)
    answer = stub.explain(request, timeout=60)
    assert (answer.prediction.digit, answer.explained_class, answer.change.prediction.digit) == (4, 9, 9)
    plain = stub.explain(pb.ExplainRequest(model=MODEL, pixels=digit), timeout=20)
    assert plain.explained_class == 4
    assert plain.members[0].logit > answer.members[0].logit
    assert not plain.HasField("change")


def test_a_picture_is_prepared_as_for_classify(stub: Stub):
    """With its warnings; the answer says what the network got."""
    stroke = np.full((40, 40), 255, np.uint8)
    stroke[5:35, 18:22] = 0
    answer = stub.explain(pb.ExplainRequest(encoded_image=file_of(stroke)), timeout=20)
    wanted = stub.classify(pb.ClassifyRequest(encoded_images=[file_of(stroke)]), timeout=20).predictions[0]
    assert answer.prediction == wanted
    assert stub.classify(pb.ClassifyRequest(pixels=answer.pixels), timeout=20).predictions[0].scores == wanted.scores
    assert len(answer.pixels) == 784


def test_json_says_what_grpc_says(stub: Stub, server: Server, digit: bytes):
    """The same parts and the same change."""
    status, _, told = ask(server, {"model": MODEL, "pixels": encoded(digit), "findChange": True}, EXPLAIN)
    assert status == 200
    wanted = stub.explain(pb.ExplainRequest(model=MODEL, pixels=digit, find_change=True), timeout=60)
    got = ParseDict(told, pb.ExplainResponse())
    got.timings.CopyFrom(wanted.timings)
    assert got == wanted


CASES = {
    "no image": (pb.ExplainRequest(), "pixels", "is empty, and so is encoded_image"),
    "both": (pb.ExplainRequest(pixels=ONE, encoded_image=b"x"), "pixels", "expected exactly one of the two"),
    "two images": (pb.ExplainRequest(pixels=ONE * 2), "pixels", "holds 2 images, expected at most 1"),
    "no picture": (pb.ExplainRequest(encoded_image=b"text"), "encoded_image", "not an image"),
    "a class too many": (pb.ExplainRequest(pixels=ONE, explained_class=10), "explained_class", "is 10, expected 0..9"),
    "a change to none": (
        pb.ExplainRequest(pixels=ONE, find_change=True, changed_class=99),
        "changed_class",
        "is 99, expected 0..9",
    ),
    "a change that is not looked for": (
        pb.ExplainRequest(pixels=ONE, changed_class=3),
        "changed_class",
        "is set, and find_change is not",
    ),
    "a layer too many": (pb.GetLearningRequest(model=MODEL, layer=4), "layer", "is 4, expected 1..3"),
    "a version without snapshots": (
        pb.GetLearningRequest(model=MODEL, version="1"),
        "model",
        "is mnist-16x16, of whose version 1 no snapshots of the training were kept",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_answered_names_the_field(stub: Stub, case: str):
    """INVALID_ARGUMENT."""
    request, field, sentence = CASES[case]
    with pytest.raises(grpc.RpcError) as raised:
        (stub.explain if isinstance(request, pb.ExplainRequest) else stub.get_learning)(request, timeout=20)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details().startswith(f"{field}: ")
    assert sentence in raised.value.details()


def test_a_change_to_the_class_that_it_has(stub: Stub, server: Server, digit: bytes):
    """Is refused by its field, by JSON as well."""
    given = {"model": MODEL, "pixels": encoded(digit), "findChange": True, "changedClass": 4}
    status, _, answer = ask(server, given, EXPLAIN)
    assert (status, answer["code"]) == (400, "invalid_argument")
    assert [each.field for each in detail(answer, BadRequest).field_violations] == ["changed_class"]


def test_calls_are_counted_by_their_model(server: Server, stub: Stub, digit: bytes):
    """In /metrics."""
    before = server.metrics().get("digits_requests_total", {}).get(("OK", METHOD, "digits-8x8", "1"), 0)
    stub.explain(pb.ExplainRequest(model="digits-8x8", pixels=bytes(64)), timeout=20)
    assert server.metrics()["digits_requests_total"]["OK", METHOD, "digits-8x8", "1"] == before + 1


async def test_the_clients_have_both(server: Server, digit: bytes):
    """Sync and asyncio, arrays and files; the last snapshot is the served network but for its temperature."""
    image = np.frombuffer(digit, np.uint8).reshape(28, 28)
    with DigitsClient(server.address, model=MODEL, timeout=60) as client:
        found = client.explain(image, find_change=True, changed_class=9)
        assert (found.classification.digit, found.change.classification.digit) == (4, 9)
        assert found.pixels.tobytes() == digit
        [member] = found.members
        assert all(
            layer.contributions.sum() + layer.rest == pytest.approx(member.logit, abs=1e-4) for layer in member.layers
        )
        with pytest.raises(ValueError, match="a list, or an array of several, expected one image"):
            client.explain([image])
        assert client.explain(file_of(255 - image)).change is None
        learned, network = client.learning(), client.network()
        with pytest.raises(InvalidInput, match="no snapshots"):
            client.learning(version="2")
    assert learned.epochs[0] == 0
    assert learned.epochs[-1] == 400
    assert learned.validation_accuracies[0] < 0.3 < 0.9 < learned.validation_accuracies[-1]
    assert np.isnan(learned.losses[0])
    for depth, layer in enumerate(network.layers):
        divisor = learned.temperature if depth == len(network.layers) - 1 else 1
        np.testing.assert_allclose(learned.weights[depth][-1] / divisor, layer.weights, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(learned.biases[depth][-1] / divisor, layer.biases, rtol=2e-3, atol=1e-4)
    async with AsyncDigitsClient(server.address, model=MODEL, timeout=60) as client:
        other = await client.explain(image)
        assert other.members[0].logit == member.logit
        again = await client.learning()
        assert all(np.array_equal(one, two) for one, two in zip(again.weights, learned.weights, strict=True))


def test_the_listing_says_which_versions_have_snapshots(stub: Stub):
    """By name and version."""
    models = stub.list_models(pb.ListModelsRequest(), timeout=20).models
    having = {(model.name, each.version) for model in models for each in model.versions if each.has_snapshots}
    assert having == {(MODEL, "3"), (MODEL, "4")}


def test_snapshots_are_those_of_the_file(stub: Stub):
    """Little-endian, layer by layer, and none where only the curves are asked for."""
    with np.load(VersionFolder(MODELS, MODEL, 3).snapshots) as arrays:
        answer = stub.get_learning(pb.GetLearningRequest(model=MODEL, version="3", layer=2), timeout=20)
        assert answer.weights == arrays["weights_2"].astype("<f2").tobytes()
        assert answer.biases == arrays["biases_2"].astype("<f2").tobytes()
        assert list(answer.epochs) == arrays["epochs"].tolist()
        assert answer.activation == "logistic"
        curves = stub.get_learning(pb.GetLearningRequest(model=MODEL, version="3"), timeout=20)
        assert (curves.weights, curves.biases) == (b"", b"")
        np.testing.assert_array_equal(curves.losses, arrays["losses"])
