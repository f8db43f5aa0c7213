"""A committee behind gRPC: the mean of its members, and each member to be looked into."""

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import numpy as np
import pytest
from digits_client import DigitsClient
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf import json_format

from artifact.prediction_sets import COVERAGES
from tests.support.server import Server, StartServer, Stub
from tests.support.tiny_ensemble import fit_members, layers_by_hand, train_tiny
from training.data.datasets import digits

# A front does not know of committees. `test_calls.py` asks either for all that one answers.
pytestmark = pytest.mark.front("grpcio")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_tiny(tmp_path_factory.mktemp("models")).models


@pytest.fixture(scope="module")
def served(start_for_module: StartServer, models: Path) -> Server:
    return start_for_module(models=models)


@pytest.fixture
def stub(served: Server) -> Iterator[Stub]:
    with served.channel() as channel:
        yield Stub(channel)


def test_every_member_can_be_looked_into(stub: Stub, models: Path, tmp_path: Path):
    """Weights by member, activations of all members one after the other, scores that are the mean."""
    pixels = digits().test.pixels[:40]
    card = stub.get_model(pb.GetModelRequest(), timeout=10).card
    members = fit_members(tmp_path, card.temperature)
    assert card.members == len(members) == 3
    answer = stub.classify(pb.ClassifyRequest(pixels=pixels.tobytes(), include_activations=True), timeout=20)
    layers = [layers_by_hand(member, pixels) for member in members]
    scores = np.array([prediction.scores for prediction in answer.predictions])
    np.testing.assert_allclose(scores, np.mean([each[-1] for each in layers], axis=0), atol=1e-6)
    names = [layer.name for layer in answer.predictions[0].activations]
    assert names == ["pixels", *(f"hidden_{number}" for number in range(1, 7))]
    for number, layer in enumerate((layer for each in layers for layer in each[:-1]), 1):
        got = np.array([prediction.activations[number].values for prediction in answer.predictions])
        np.testing.assert_allclose(got, layer, atol=1e-5)
    for number, member in enumerate(members):
        for depth, (weights, biases) in enumerate(zip(member.coefs_, member.intercepts_, strict=True), 1):
            [layer] = stub.get_network(pb.GetNetworkRequest(member=number, layer=depth), timeout=10).layers
            np.testing.assert_allclose(np.reshape(layer.weights, weights.shape), weights, atol=1e-6)
            np.testing.assert_allclose(layer.biases, biases, atol=1e-5)


def test_the_card_says_what_scores_are_worth(served: Server):
    """Temperature, calibration error and the bins it comes from, as the client has them."""
    with DigitsClient(served.address) as client:
        card = client.model()
        second = client.network(member=1)
    assert card.temperature > 0
    images, mean_scores, accuracies = card.reliability.T
    assert images.sum() == card.test_rows
    assert (images * accuracies).sum() / card.test_rows == pytest.approx(card.accuracy, abs=1e-5)
    error = (images * np.abs(accuracies - mean_scores)).sum() / card.test_rows
    assert card.calibration_error == pytest.approx(error, abs=1e-5)
    assert [layer.weights.shape for layer in second.layers] == [(64, 12), (12, 7), (7, 10)]


def test_candidates_keep_the_coverage(served: Server, stub: Stub):
    """Of the test images about as many as asked for have their class among them: unary, in a stream, as JSON."""
    test = digits().test
    thresholds = dict(zip(COVERAGES, stub.get_model(pb.GetModelRequest(), timeout=10).card.thresholds, strict=True))
    for coverage in (0, 0.9, 0.95):
        request = pb.ClassifyRequest(pixels=test.pixels.tobytes(), coverage=coverage)
        answer = stub.classify(request, timeout=20)
        found = [list(prediction.candidates) for prediction in answer.predictions]
        assert np.mean([label in each for label, each in zip(test.labels, found, strict=True)]) == pytest.approx(
            coverage or 0.99, abs=0.04
        )
        least = np.float32(1 - thresholds[coverage or 0.99])
        scores = np.array([prediction.scores for prediction in answer.predictions], np.float32)
        assert [len(each) for each in found] == (scores >= least).sum(axis=1).tolist()
        [streamed] = stub.classify_stream(iter([pb.ClassifyStreamRequest(request=request)]), timeout=20)
        assert streamed.response.predictions == answer.predictions
        status, _, body = served.http(
            "/digits.v1.DigitsService/Classify",
            json_format.MessageToJson(request).encode(),
            Content_Type="application/json",
        )
        assert status == 200
        assert [each.get("candidates", []) for each in json.loads(body)["predictions"]] == found


def test_the_client_names_a_coverage(served: Server):
    """A greater one leaves more candidates; they come best first, and the card tells the thresholds."""
    pixels = digits().test.pixels[:80]
    with DigitsClient(served.address) as client:
        few, many = (client.classify(pixels, coverage=coverage) for coverage in (0.9, 0.99))
        [streamed] = client.classify_stream([pixels], coverage=0.9)
        thresholds = client.model().thresholds
    assert len(thresholds) == len(COVERAGES)
    assert [each.candidates for each in streamed] == [each.candidates for each in few]
    assert sum(len(each.candidates) for each in few) < sum(len(each.candidates) for each in many)
    for less, more in zip(few, many, strict=True):
        assert more.candidates[: len(less.candidates)] == less.candidates
        assert less.candidates[:1] in ((), (less.digit,))


def test_it_says_whether_it_is_a_digit_at_all(served: Server, stub: Stub):
    """Noise gets more than digits do: unary, in a stream, as JSON and by the client, and the card tells how surely."""
    digit = digits().test.pixels[:40]
    noise = np.random.default_rng(1).integers(0, 17, (40, 64)).astype(np.uint8)
    request = pb.ClassifyRequest(pixels=digit.tobytes() + noise.tobytes())
    found = [prediction.not_a_digit for prediction in stub.classify(request, timeout=20).predictions]
    assert np.median(found[40:]) > 0.6 > 0.45 > np.median(found[:40])
    [streamed] = stub.classify_stream(iter([pb.ClassifyStreamRequest(request=request)]), timeout=20)
    assert [prediction.not_a_digit for prediction in streamed.response.predictions] == pytest.approx(found, abs=1e-6)
    status, _, body = served.http(
        "/digits.v1.DigitsService/Classify",
        json_format.MessageToJson(request).encode(),
        Content_Type="application/json",
    )
    assert status == 200
    assert [each["notADigit"] for each in json.loads(body)["predictions"]] == pytest.approx(found, abs=1e-6)
    with DigitsClient(served.address) as client:
        answers = client.classify(noise)
        assert [each.not_a_digit for each in answers] == pytest.approx(found[40:], abs=1e-6)
        assert client.model().outlier_auc["noise"] > 0.85


def test_a_coverage_that_is_none(stub: Stub):
    """INVALID_ARGUMENT with the field; in a stream for its message alone."""
    pixels = digits().test.pixels[:1].tobytes()
    bad, good = pb.ClassifyRequest(pixels=pixels, coverage=1.0), pb.ClassifyRequest(pixels=pixels, coverage=0.5)
    with pytest.raises(grpc.RpcError) as raised:
        stub.classify(bad, timeout=10)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert raised.value.details().startswith("coverage: is 1, expected more than 0 and less than 1")
    first, second = stub.classify_stream(
        iter([pb.ClassifyStreamRequest(request=each) for each in (bad, good)]), timeout=10
    )
    assert (first.error.code, second.WhichOneof("result")) == (3, "response")
