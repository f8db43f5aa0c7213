"""Read over gRPC and by JSON: what it finds in pictures, and what it says of those it cannot read."""

import time
from typing import Any

import grpc
import numpy as np
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from google.protobuf.json_format import ParseDict
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from grpc_status import rpc_status

from imaging.reading.segment import MOST_MARKS
from tests.support.http_calls import ask, detail, encoded
from tests.support.pictures import dots, file_of, in_grid, in_line, in_lines, zigzags
from tests.support.server import STEM, Server, StartServer, Stub

COMMITTEE, PLAIN = "mnist-committee", "mnist-16x16"
READ = STEM + "Read"


def request(ink: np.ndarray, model: str = COMMITTEE, **fields: Any) -> pb.ReadRequest:
    return pb.ReadRequest(model=model, encoded_image=file_of(ink), **fields)


def read(stub: Stub, ink: np.ndarray, **fields: Any) -> pb.ReadResponse:
    return stub.read(request(ink, **fields), timeout=60)


def violations(error: grpc.RpcError) -> list[tuple[str, str]]:
    """Fields and descriptions of an INVALID_ARGUMENT."""
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    [packed] = [each for each in rpc_status.from_call(error).details if each.Is(BadRequest.DESCRIPTOR)]
    bad = BadRequest()
    assert packed.Unpack(bad)
    return [(each.field, each.description) for each in bad.field_violations]


@pytest.fixture
def of(mnist_test):
    """The image of a digit: the so-manieth in the test set."""
    pixels, labels = mnist_test

    def find(digit: int, number: int = 1) -> np.ndarray:
        return pixels[np.flatnonzero(labels == digit)[number]]

    return find


def test_two_digits_side_by_side(stub: Stub, of):
    """Both are read, where Classify sees one; each has its box, scores, candidates and chance to be none."""
    ink = in_line([of(7), of(2)])
    answer = read(stub, ink)
    assert (answer.text, len(answer.lines), answer.quarter_turns) == ("72", 1, 0)
    assert (answer.height, answer.width) == ink.shape
    assert (answer.model.name, answer.timings.batch_rows >= 2) == (COMMITTEE, True)
    seven, two = answer.lines[0].digits
    for digit, label in ((seven, 7), (two, 2)):
        assert np.argmax(digit.prediction.scores) == digit.prediction.digit == label
        assert digit.prediction.candidates[0] == label
        assert digit.prediction.not_a_digit < 0.5
        assert not digit.prediction.rejected
        assert not digit.prediction.activations
        assert not digit.HasField("field")
    assert seven.box.left + seven.box.width <= two.box.left
    columns = np.flatnonzero(ink.any(axis=0))
    assert abs(seven.box.left - columns[0]) <= 4
    assert abs(two.box.left + two.box.width - columns[-1]) <= 4
    scores = [max(each.prediction.scores) * (1 - each.prediction.not_a_digit) for each in (seven, two)]
    assert answer.score == pytest.approx(answer.lines[0].score)
    assert answer.lines[0].score == pytest.approx(np.prod(scores), rel=1e-4)
    classified = stub.classify(pb.ClassifyRequest(model=COMMITTEE, encoded_images=[file_of(ink)])).predictions[0]
    assert list(classified.warning_codes) == ["several_marks"]


def test_a_line_of_all_digits_and_several_lines(stub: Stub, of):
    """From the left, and from the top."""
    assert read(stub, in_line([of(digit) for digit in range(10)])).text == "0123456789"
    answer = read(stub, in_lines([[of(7), of(2)], [of(3), of(0), of(4)]]))
    assert answer.text == "72\n304"
    assert [line.text for line in answer.lines] == ["72", "304"]
    assert [line.columns for line in answer.lines] == [0, 0]
    assert answer.score == pytest.approx(answer.lines[0].score * answer.lines[1].score, rel=1e-5)


def test_a_grid(stub: Stub, of):
    """Each row is a line, with a dot for each empty field. Each digit names its field."""
    answer = read(stub, in_grid([[of(4), None, of(7)], [None, of(3), None], [of(2), of(0), None]]))
    assert answer.text == "4.7\n.3.\n20."
    assert [line.columns for line in answer.lines] == [3, 3, 3]
    fields = [(digit.field.row, digit.field.column) for line in answer.lines for digit in line.digits]
    assert fields == [(0, 0), (0, 2), (1, 1), (2, 0), (2, 1)]
    assert list(answer.warning_codes) == ["lines_removed"]
    assert len(answer.warnings) == 1


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_picture_that_was_turned(stub: Stub, of, turns: int):
    """Is read upright; size and boxes are those of the upright picture."""
    ink = in_lines([[of(7), of(2)], [of(3), of(0), of(4)]])
    upright, turned = read(stub, ink), read(stub, np.rot90(ink, turns))
    assert (turned.text, turned.quarter_turns) == (upright.text, turns)
    assert (turned.height, turned.width) == ink.shape
    boxes = [[digit.box for line in answer.lines for digit in line.digits] for answer in (upright, turned)]
    assert boxes[0] == boxes[1]


def test_a_blank_picture(stub: Stub):
    """Has no lines, and a warning."""
    answer = read(stub, np.zeros((60, 90), np.uint8))
    assert (answer.text, answer.score, len(answer.lines)) == ("", 0, 0)
    assert (answer.width, answer.height) == (90, 60)
    assert list(answer.warning_codes) == ["blank"]
    assert list(answer.warnings) == ["the image is blank: no ink was found"]


def test_rejected_digits(stub: Stub, of):
    """Are question marks in the text; those of which the chance is not above the request's are not."""
    ink = in_line([of(7), of(2)])
    chances = [digit.prediction.not_a_digit for digit in read(stub, ink).lines[0].digits]
    between = sum(sorted(chances)) / 2
    answer = read(stub, ink, reject_above=between)
    assert [digit.prediction.rejected for digit in answer.lines[0].digits] == [each > between for each in chances]
    assert answer.text == "".join("?" if each > between else digit for each, digit in zip(chances, "72", strict=True))
    assert "?" in answer.text != "??"


def test_a_greater_coverage_leaves_more_candidates(stub: Stub, of):
    """For each digit, as for Classify."""
    ink = in_line([of(digit) for digit in range(10)])
    few, many = (
        [len(digit.prediction.candidates) for digit in read(stub, ink, coverage=coverage).lines[0].digits]
        for coverage in (0.8, 0.999)
    )
    assert sum(few) < sum(many)


CASES = {
    "no picture": (pb.ReadRequest(), "encoded_image", "is empty, expected an image file"),
    "no image": (pb.ReadRequest(encoded_image=b"Dear sir or madam"), "encoded_image", "the bytes are not an image"),
    "a truncated image": (
        pb.ReadRequest(encoded_image=file_of(np.zeros((300, 300), np.uint8))[:-40]),
        "encoded_image",
        "truncated",
    ),
    "a coverage of all": (
        request(np.zeros((9, 9), np.uint8), coverage=1),
        "coverage",
        "is 1, expected more than 0 and less than 1",
    ),
    "a coverage for a model without thresholds": (
        request(np.zeros((9, 9), np.uint8), PLAIN, version="2", coverage=0.9),
        "coverage",
        "is 0.9, and model mnist-16x16 has no thresholds",
    ),
    "a chance that is none": (
        request(np.zeros((9, 9), np.uint8), reject_above=-1),
        "reject_above",
        "is -1, expected more than 0 and less than 1",
    ),
    "a chance for a model that cannot tell": (
        request(np.zeros((9, 9), np.uint8), PLAIN, version="2", reject_above=0.5),
        "reject_above",
        "is 0.5, and model mnist-16x16 cannot tell digits from other images",
    ),
    "too many marks": (
        request(dots(38, 38)),
        "encoded_image",
        f"shows 1444 marks, expected at most {MOST_MARKS}",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_read_names_the_field(stub: Stub, server: Server, case: str):
    """By gRPC and by JSON."""
    message, field, sentence = CASES[case]
    with pytest.raises(grpc.RpcError) as raised:
        stub.read(message, timeout=60)
    [(named, described)] = violations(raised.value)
    assert (named, sentence in described) == (field, True), described
    assert raised.value.details() == f"{field}: {described}"
    given = {"encodedImage": encoded(message.encoded_image), "model": message.model, "version": message.version}
    given |= {"coverage": message.coverage, "rejectAbove": message.reject_above}
    status, _, answer = ask(server, given, READ)
    assert (status, answer["code"]) == (400, "invalid_argument")
    assert [each.field for each in detail(answer, BadRequest).field_violations] == [field]


def test_an_unknown_model(stub: Stub):
    """NOT_FOUND, as for Classify."""
    with pytest.raises(grpc.RpcError) as raised:
        stub.read(pb.ReadRequest(model="x", encoded_image=b"x"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_json_says_what_grpc_says(stub: Stub, server: Server, of):
    """The same lines, digits and fields."""
    message = request(in_grid([[of(4), None], [None, of(3)]]))
    status, _, answer = ask(server, {"model": COMMITTEE, "encodedImage": encoded(message.encoded_image)}, READ)
    assert status == 200
    told = ParseDict(answer, pb.ReadResponse())
    answered = stub.read(message, timeout=60)
    assert told.lines == answered.lines
    assert told.text == answered.text == "4.\n.3"


def test_calls_are_counted_by_their_model(start_server: StartServer, of):
    """In /metrics, beside those of Classify; what is refused by its status."""
    server = start_server()
    with server.channel() as channel:
        stub = Stub(channel)
        read(stub, in_line([of(7), of(2)]), model=PLAIN)
        with pytest.raises(grpc.RpcError):
            stub.read(pb.ReadRequest(encoded_image=b"x"))
    counted = server.metrics()["digits_requests_total"]
    found = {labels[0]: count for labels, count in counted.items() if labels[1] == READ[1:]}
    assert found == {"OK": 1, "INVALID_ARGUMENT": 1}


def test_a_picture_over_the_limits(start_server: StartServer, of):
    """Of bytes and of pixels, as for Classify; a rate of calls holds for Read."""
    server = start_server("--max-message-mb=1", "--max-image-megapixels=1")
    with server.channel() as channel:
        stub = Stub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.read(pb.ReadRequest(encoded_image=bytes(2**20 + 1)), timeout=10)
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        with pytest.raises(grpc.RpcError) as raised:
            stub.read(request(np.zeros((1100, 1100), np.uint8), PLAIN), timeout=10)
        [(field, description)] = violations(raised.value)
        assert (field, "1100×1100" in description) == ("encoded_image", True)


def test_callers_that_go_leave_nothing_behind(start_server: StartServer, of):
    """Cancelled calls and those whose deadline passes give back their room, and others are read."""
    server = start_server()
    busy = request(zigzags(2, 2), PLAIN)
    with server.channel() as channel:
        stub = Stub(channel)
        calls = [stub.read.future(busy, timeout=60) for _ in range(8)]
        late = [stub.read.future(busy, timeout=0.05) for _ in range(2)]
        for call in calls:
            call.cancel()
        assert {call.exception().code() for call in late} == {grpc.StatusCode.DEADLINE_EXCEEDED}
        assert read(stub, in_line([of(7), of(2)]), model=PLAIN).text == "72"
        deadline = time.monotonic() + 60
        while sum(server.metrics()["digits_requests_in_flight"].values()) > 0:
            assert time.monotonic() < deadline, "calls that were cancelled are still in flight"
            time.sleep(0.05)
        assert sum(server.metrics()["digits_queue_rows"].values()) == 0


def test_more_pictures_at_once_than_are_decoded(start_server: StartServer, of):
    """Calls beyond the limit are refused with a retry delay, as for Classify. All accepted calls are answered."""
    server = start_server("--max-batch-rows=64", "--max-queue-rows=64")
    message = request(in_line([of(7), of(2)]), PLAIN)
    with server.channel() as channel:
        calls = [Stub(channel).read.future(message, timeout=60) for _ in range(200)]
        for call in calls:
            error = call.exception()
            if error is None:
                assert call.result().text == "72"
                continue
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert any(packed.Is(RetryInfo.DESCRIPTOR) for packed in rpc_status.from_call(error).details)
        assert Stub(channel).read(message, timeout=60).text == "72"


def test_a_server_of_small_batches_reads_too(start_server: StartServer, of):
    """Read submits no more rows at once than a batch takes, and later calls are answered."""
    server = start_server("--max-batch-rows=2", "--max-queue-rows=3", "--default-model=mnist-16x16")
    with server.channel() as channel:
        stub = Stub(channel)
        picture = file_of(in_line([of(7), of(2)]))
        assert len(stub.read(pb.ReadRequest(encoded_image=picture), timeout=60).text) == 2
        assert len(stub.classify(pb.ClassifyRequest(encoded_images=[picture]), timeout=60).predictions) == 1
