"""Start, readiness, signals and drain of the real process."""

import signal
import socket
import threading
import time

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from grpc_health.v1 import health_pb2 as health

from tests.support.server import NAMES, STEM, Server, StartServer, Stub

SERVED = ["", "digits.v1.DigitsService", "inference.GRPCInferenceService", *NAMES.split(", ")]

SERVING = health.HealthCheckResponse.SERVING
NOT_SERVING = health.HealthCheckResponse.NOT_SERVING


def check(channel: grpc.Channel, name: str = "") -> int:
    call = channel.unary_unary(
        "/grpc.health.v1.Health/Check", response_deserializer=health.HealthCheckResponse.FromString
    )
    return call(health.HealthCheckRequest(service=name).SerializeToString(), timeout=10).status


def watch(channel: grpc.Channel, name: str = ""):
    call = channel.unary_stream(
        "/grpc.health.v1.Health/Watch", response_deserializer=health.HealthCheckResponse.FromString
    )
    return call(health.HealthCheckRequest(service=name).SerializeToString(), timeout=30)


def answered_and_refused(channel: grpc.Channel) -> None:
    """A call of either kind."""
    Stub(channel).classify(pb.ClassifyRequest(pixels=bytes(784)), timeout=10)
    with pytest.raises(grpc.RpcError):
        Stub(channel).classify(pb.ClassifyRequest(pixels=b"x"), timeout=10)


@pytest.mark.parametrize(
    "name",
    SERVED,
)
def test_health_names_the_server_its_service_and_each_model(server: Server, name: str):
    """All serve once the golden rows were reproduced."""
    with server.channel() as channel:
        assert check(channel, name) == SERVING


def test_health_of_an_unknown_name_is_not_found_and_watched_as_unknown(server: Server):
    """As the health protocol has it."""
    with server.channel() as channel:
        with pytest.raises(grpc.RpcError) as raised:
            check(channel, "nobody")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        stream = watch(channel, "nobody")
        assert next(stream).status == health.HealthCheckResponse.SERVICE_UNKNOWN
        stream.cancel()


def test_health_lists_every_name(server: Server):
    """List gives what Check would say of each."""
    with server.channel() as channel:
        call = channel.unary_unary(
            "/grpc.health.v1.Health/List", response_deserializer=health.HealthListResponse.FromString
        )
        statuses = call(b"", timeout=10).statuses
    assert {name: status.status for name, status in statuses.items()} == dict.fromkeys(
        SERVED,
        SERVING,
    )


@pytest.mark.parametrize(
    "number",
    # The tests of workers send SIGINT to both fronts.
    [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.front("grpcio"))],
)
def test_a_signal_drains_and_exits_with_0(start_server: StartServer, number: int):
    """A health watch gets NOT_SERVING and ends at once. The log has no line for a call."""
    server = start_server("--grace-seconds=20")
    with server.channel() as channel:
        answered_and_refused(channel)
        stream = watch(channel)
        assert next(stream).status == SERVING
        began = time.monotonic()
        server.signal(number)
        assert next(stream).status == NOT_SERVING
        assert server.process.wait(15) == 0
        assert time.monotonic() - began < 10
    assert [line["event"] for line in server.lines[-2:]] == ["draining", "stopped"]
    assert not [line for line in server.lines if line["event"] == "call"]


def test_calls_in_flight_end_well_and_later_ones_are_refused(start_server: StartServer, mnist_test):
    """Every call that was accepted before SIGTERM is answered whole; a new one is UNAVAILABLE."""
    server = start_server("--inline-us=0", "--max-queue-rows=1000000")
    body = mnist_test[0][:1000].tobytes()
    with server.channel() as channel:
        stub = Stub(channel)
        entered = threading.Event()

        def send():
            yield pb.ClassifyStreamRequest(id="0", request=pb.ClassifyRequest(pixels=body))
            entered.wait(20)

        stream = stub.classify_stream(send())
        calls = [stub.classify.future(pb.ClassifyRequest(pixels=body), timeout=30) for _ in range(100)]
        assert len(next(stream).response.predictions) == 1000
        calls[0].result()
        server.signal(signal.SIGTERM)
        server.wait_for("draining")
        answered = 0
        for call in calls:
            error = call.exception()
            if error is None:
                assert len(call.result().predictions) == 1000
                answered += 1
            else:  # had not reached its handler when the server began to drain
                assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert answered >= 1
        with pytest.raises(grpc.RpcError) as ended:  # idle: read no further, so that it does not hold up the end
            next(stream)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "draining" in ended.value.details()
        entered.set()
    assert server.process.wait(15) == 0


def test_a_second_signal_ends_at_once(start_server: StartServer):
    """Whoever presses Ctrl-C twice means it: exit code 1, though calls are in flight and there is grace left."""
    server = start_server("--grace-seconds=60", "--inline-us=0", "--max-queue-rows=1000000")
    body = bytes(784 * 1000)
    with server.channel() as channel:
        calls = [Stub(channel).classify.future(pb.ClassifyRequest(pixels=body)) for _ in range(100)]
        calls[0].result()
        server.signal(signal.SIGTERM)
        server.signal(signal.SIGINT)
        assert server.process.wait(10) == 1
        for call in calls:
            call.cancel()
    assert server.lines[-1]["event"] == "stopped at once by a second signal"


def test_a_port_in_use_is_refused_with_one_sentence(server: Server, start_server: StartServer):
    """A second server on the port does not take half of the calls."""
    second = start_server(f"--port={server.port}", wait=False)
    assert second.process.wait(30) == 1
    second.reader.join(5)
    sentence = f"digits: cannot listen on 127.0.0.1:{server.port} (--port): Address already in use"
    assert "".join(second.text).strip() == sentence


def test_a_port_that_is_merely_bound_is_refused_too(start_server: StartServer):
    """Whoever holds it, and whatever it is for."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        second = start_server(f"--port={taken.getsockname()[1]}", wait=False)
        assert second.process.wait(30) == 1


@pytest.mark.front("grpcio")  # settings are read before there is a front
def test_a_bad_setting_stops_the_start_and_names_its_key(start_server: StartServer):
    """Exit code 2 and one sentence, no traceback; `test_config.py` has all sentences."""
    server = start_server(wait=False, env={"DIGITS_PORT": "eight"}, port=None)
    assert server.process.wait(30) == 2
    server.reader.join(5)
    sentence = "digits: --port (DIGITS_PORT) is 'eight', expected a whole number 0..65535"
    assert "".join(server.text).strip() == sentence


@pytest.mark.front("grpcio")  # settings are read before there is a front
def test_a_flag_wins_over_the_environment(start_server: StartServer):
    """And the environment over the default."""
    server = start_server("--max-batch-rows=7", env={"DIGITS_MAX_BATCH_ROWS": "9", "DIGITS_MAX_MESSAGE_MB": "3"})
    with server.channel() as channel:
        answer = Stub(channel).list_models(pb.ListModelsRequest(), timeout=10)
    assert (answer.max_rows, answer.max_message_bytes) == (7, 3 * 2**20)


def test_each_call_is_one_debug_line(start_server: StartServer):
    """With method, status and time; at the level `info` there is none, see above."""
    server = start_server("--log-level=debug")
    with server.channel() as channel:
        answered_and_refused(channel)
    assert server.end() == 0
    calls = [line for line in server.lines if line["event"] == "call"]
    assert [(line["method"], line["code"]) for line in calls] == [
        (STEM + "Classify", "OK"),
        (STEM + "Classify", "INVALID_ARGUMENT"),
    ]


@pytest.mark.front("grpcio")  # either loads models by the same code
def test_a_provider_that_is_wished_for_but_missing_is_said_and_the_cpu_taken(start_server: StartServer):
    """Without --require-provider the service runs, and every answer says on what."""
    server = start_server("--provider=cuda")
    assert server.wait_for("provider refused")["level"] == "warning"
    with server.channel() as channel:
        answer = Stub(channel).classify(pb.ClassifyRequest(pixels=bytes(784)), timeout=10)
    assert answer.model.execution_provider == "CPUExecutionProvider"
