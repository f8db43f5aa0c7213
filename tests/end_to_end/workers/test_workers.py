"""Several workers on one port: they serve as one, whichever of them a connection comes to."""

import secrets
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import open_inference_pb2 as oip

from tests.end_to_end.workers.two_workers import (
    BOTH,
    FOLDER,
    NAME,
    OTHER,
    PREFIX,
    ask,
    channels,
    classify,
    is_ready,
    kill,
    load,
    regions,
    register,
    statistics,
    unload,
    unregister,
)
from tests.support.server import Server, Stub


@pytest.fixture
def region() -> Iterator[Path]:
    """A shared-memory object of four black images; its key is its name."""
    path = FOLDER / f"{PREFIX}{secrets.token_hex(4)}"
    path.write_bytes(bytes(4 * 784))
    yield path
    path.unlink(missing_ok=True)


def test_a_model_is_unloaded_and_loaded_in_every_worker(crew: Server):
    """Whichever of them was asked, and before the answer comes."""
    with channels(crew) as by_number:
        for asked in by_number.values():
            unload(asked, OTHER)
            assert [is_ready(channel, OTHER) for channel in by_number.values()] == [False, False]
            load(asked, OTHER)
            assert [is_ready(channel, OTHER) for channel in by_number.values()] == [True, True]


def test_a_shared_memory_region_is_registered_in_every_worker(crew: Server, region: Path):
    """And forgotten in every one."""
    with channels(crew) as by_number:
        for asked in by_number.values():
            register(asked, "mine", region)
            assert [regions(channel) for channel in by_number.values()] == [{"mine"}, {"mine"}]
            unregister(asked)
            assert [regions(channel) for channel in by_number.values()] == [set(), set()]


def test_an_error_of_a_change_is_told_as_one_worker_would(crew: Server, region: Path):
    """Status, sentence and the field."""
    with channels(crew) as by_number:
        with pytest.raises(grpc.RpcError) as raised:
            load(by_number[1], "nobody")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        assert raised.value.details() == "there is no model 'nobody' in the models folder"
        unload(by_number[1], "nobody")  # it is gone in both
        register(by_number[1], "twice", region)
        with pytest.raises(grpc.RpcError) as raised:
            register(by_number[2], "twice", region)
        unregister(by_number[2], "twice")
        assert raised.value.code() is grpc.StatusCode.ALREADY_EXISTS
        assert raised.value.details().startswith("a shared-memory region 'twice' is registered")
        with pytest.raises(grpc.RpcError) as raised:
            register(by_number[2], "", region)
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        trailers = dict(raised.value.trailing_metadata())
        assert b"name" in trailers["grpc-status-details-bin"]


def test_statistics_are_those_of_all_workers_the_dead_included(crew: Server):
    """Any worker tells the sum; it survives the death of one, and goes on from there."""
    with channels(crew) as by_number:
        before = statistics(by_number[1])
        for number, calls in {1: 3, 2: 5}.items():
            for _ in range(calls):
                classify(by_number[number], images=2)
        told = [statistics(channel) for channel in by_number.values()]
        assert [each.inference_count - before.inference_count for each in told] == [16, 16]
        assert [each.inference_stats.success.count - before.inference_stats.success.count for each in told] == [8, 8]
        assert {size.batch_size for size in told[0].batch_stats} >= {2}
    kill(crew, 2)
    with channels(crew) as by_number:
        again = [statistics(channel) for channel in by_number.values()]
        assert again == told
        classify(by_number[2])
        assert [statistics(channel).inference_count for channel in by_number.values()] == [
            told[0].inference_count + 1
        ] * 2


def test_what_was_counted_outlives_the_model_and_the_worker(crew: Server):
    """As with one worker: a model that is loaded again goes on counting."""
    with channels(crew) as by_number:
        for channel in by_number.values():
            Stub(channel).classify(pb.ClassifyRequest(model=OTHER, pixels=bytes(64)), timeout=20)
        assert statistics(by_number[1], OTHER).inference_count >= 2
    kill(crew, 1)
    with channels(crew) as by_number:
        counted = statistics(by_number[1], OTHER).inference_count
        assert counted >= 2
        unload(by_number[1], OTHER)
        load(by_number[1], OTHER)
        assert [statistics(channel, OTHER).inference_count for channel in by_number.values()] == [counted, counted]


def test_a_worker_that_takes_the_place_of_a_dead_one_knows_what_was_changed(crew: Server, region: Path):
    """What was unloaded stays so, what was loaded again is there, and regions are registered."""
    with channels(crew) as by_number:
        unload(by_number[1], OTHER)
        unload(by_number[1], NAME)
        load(by_number[1], NAME)
        register(by_number[1], "mine", region)
        register(by_number[1], "gone", region)
        unregister(by_number[1], "gone")
    for number in BOTH:
        kill(crew, number)
    with channels(crew) as by_number:
        for channel in by_number.values():
            assert not is_ready(channel, OTHER)
            assert is_ready(channel, NAME)
            assert regions(channel) == {"mine"}
            pixels = oip.ModelInferRequest.InferInputTensor(name="pixels", datatype="UINT8", shape=[4, 784])
            pixels.parameters["shared_memory_region"].string_param = "mine"
            pixels.parameters["shared_memory_byte_size"].int64_param = 4 * 784
            request = oip.ModelInferRequest(model_name=NAME, inputs=[pixels])
            answer = ask(channel, "ModelInfer", request, oip.ModelInferResponse)
            assert answer.outputs[0].shape[0] == 4
        unregister(by_number[2])
        load(by_number[2], OTHER)


def test_only_lines_of_workers_have_a_number(crew: Server):
    """The service as a whole is told about once, by the supervisor."""
    assert {line.get("worker") for line in crew.lines if line["event"] == "model ready"} == set(BOTH)
    whole = [line for line in crew.lines if line["event"] in ("listening", "serving")]
    assert [(line["event"], line["port"], "worker" in line) for line in whole] == [
        ("listening", crew.port, False),
        ("serving", crew.port, False),
    ]
