"""Several workers on one port: they serve as one, whichever of them a connection comes to."""

import os
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import numpy as np
import pytest

from digits_client import DigitsClient
from service.runtime.cores import usable_cores
from stubs.digits.v1 import digits_pb2 as pb
from stubs.inference import model_repository_pb2 as repository_pb
from stubs.inference import model_statistics_pb2 as statistics_pb
from stubs.inference import open_inference_pb2 as oip
from stubs.inference import shared_memory_pb2 as memory_pb
from tests.harness import Server, StartServer, Stub
from tests.repositories import place

NAME, OTHER = "mnist-16x16", "digits-8x8"
PREFIX = f"digits-test-{secrets.token_hex(4)}-"
FOLDER = Path("/dev/shm")
BOTH = (1, 2)


def ask(channel: grpc.Channel, method: str, request, response):
    call = channel.unary_unary(f"/inference.GRPCInferenceService/{method}", response_deserializer=response.FromString)
    return call(request.SerializeToString(), timeout=20)


def load(channel: grpc.Channel, name: str) -> None:
    request = repository_pb.RepositoryModelLoadRequest(model_name=name)
    ask(channel, "RepositoryModelLoad", request, repository_pb.RepositoryModelLoadResponse)


def unload(channel: grpc.Channel, name: str) -> None:
    request = repository_pb.RepositoryModelUnloadRequest(model_name=name)
    ask(channel, "RepositoryModelUnload", request, repository_pb.RepositoryModelUnloadResponse)


def is_ready(channel: grpc.Channel, name: str) -> bool:
    return ask(channel, "ModelReady", oip.ModelReadyRequest(name=name), oip.ModelReadyResponse).ready


def register(channel: grpc.Channel, name: str, path: Path) -> None:
    size = path.stat().st_size
    request = memory_pb.SystemSharedMemoryRegisterRequest(name=name, key=path.name, byte_size=size)
    ask(channel, "SystemSharedMemoryRegister", request, memory_pb.SystemSharedMemoryRegisterResponse)


def unregister(channel: grpc.Channel, name: str = "") -> None:
    request = memory_pb.SystemSharedMemoryUnregisterRequest(name=name)
    ask(channel, "SystemSharedMemoryUnregister", request, memory_pb.SystemSharedMemoryUnregisterResponse)


def regions(channel: grpc.Channel) -> set[str]:
    answer = ask(
        channel,
        "SystemSharedMemoryStatus",
        memory_pb.SystemSharedMemoryStatusRequest(),
        memory_pb.SystemSharedMemoryStatusResponse,
    )
    return set(answer.regions)


def statistics(channel: grpc.Channel, name: str = NAME) -> statistics_pb.ModelStatistics:
    request = statistics_pb.ModelStatisticsRequest(name=name)
    return ask(channel, "ModelStatistics", request, statistics_pb.ModelStatisticsResponse).model_stats[-1]


def classify(channel: grpc.Channel, images: int = 1) -> None:
    answer = Stub(channel).classify(pb.ClassifyRequest(model=NAME, pixels=bytes(784 * images)), timeout=20)
    assert len(answer.predictions) == images


@contextmanager
def channels(server: Server) -> Iterator[dict[int, grpc.Channel]]:
    """A channel to each of two workers, by its number: the debug line of a call says who answered it."""
    with ExitStack() as stack:
        found: dict[int, grpc.Channel] = {}
        while found.keys() != set(BOTH):
            channel = stack.enter_context(server.channel())
            before = len(server.lines)
            with pytest.raises(grpc.RpcError):
                ask(channel, f"Nobody{before}", oip.ServerLiveRequest(), oip.ServerLiveResponse)
            is_ready(channel, NAME)
            line = server.wait_for("call", after=before, method="/inference.GRPCInferenceService/ModelReady")
            found.setdefault(line["worker"], channel)
        yield found


def kill(server: Server, worker: int, number: int = signal.SIGKILL) -> None:
    """Let a worker die, and wait until another has its place."""
    before = len(server.lines)
    os.kill(pids(server)[worker], number)
    server.wait_for("worker serving", after=before, worker=worker)


def pids(server: Server) -> dict[int, int]:
    """Process of each worker by its number, the newest."""
    for number in BOTH:
        server.wait_for("worker serving", worker=number)
    return {line["worker"]: line["pid"] for line in server.lines if line["event"] == "worker serving"}


@pytest.fixture(scope="module")
def crew(start_server: StartServer) -> Server:
    """A server of two workers, for tests that leave no change behind but a worker that was restarted."""
    return start_server("--workers=2", "--model-control=explicit", "--log-level=debug", f"--shared-memory={PREFIX}")


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
            unload(by_number[1], "nobody")
        assert raised.value.code() is grpc.StatusCode.NOT_FOUND
        assert raised.value.details() == "there is no model 'nobody'; there is digits-8x8, mnist-16x16, mnist-large"
        register(by_number[1], "twice", region)
        with pytest.raises(grpc.RpcError) as raised:
            register(by_number[2], "twice", region)
        unregister(by_number[2], "twice")
        assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert raised.value.details().startswith("name: is 'twice'")
        trailers = dict(raised.value.trailing_metadata())
        assert b"registered" in trailers["grpc-status-details-bin"]


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


class Load(threading.Thread):
    """Calls one after the other until it is told to stop."""

    def __init__(self, call: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._over = threading.Event()
        self.answered = 0
        self.errors: list[Exception] = []
        self.start()

    def run(self) -> None:
        while not self._over.is_set():
            try:
                self._call()
                self.answered += 1
            except Exception as error:
                self.errors.append(error)

    def stop(self) -> None:
        self._over.set()
        self.join(60)


def test_a_worker_killed_under_load_comes_back_and_nobody_notices(crew: Server):
    """Calls on the other worker go on, and clients that retry lose none."""
    image = np.zeros((28, 28), np.uint8)
    with channels(crew) as by_number, ExitStack() as stack:
        clients = [stack.enter_context(DigitsClient(crew.address)) for _ in range(6)]
        neighbours = [Load(lambda: classify(by_number[1])) for _ in range(2)]
        retrying = [Load(lambda client=client: client.classify(image)) for client in clients]
        time.sleep(0.3)
        kill(crew, 2)
        kill(crew, 2)
        time.sleep(0.3)
        for each in neighbours + retrying:
            each.stop()
    assert [each.errors for each in neighbours + retrying] == [[]] * 8
    assert all(each.answered > 10 for each in neighbours + retrying)
    died = [line for line in crew.lines if line["event"] == "worker ended"]
    assert died[-1]["signal"] == "SIGKILL"


@pytest.mark.front("grpcio")  # Envoy ends at once when it is told so by anyone but its supervisor
def test_a_worker_told_to_end_ends_its_calls_and_is_replaced(crew: Server):
    """SIGTERM for one worker: the calls in flight are answered, and stay counted to the last."""
    with channels(crew) as by_number:
        before = statistics(by_number[2]).inference_stats.success.count
        calls = [
            Stub(by_number[1]).classify.future(pb.ClassifyRequest(model=NAME, pixels=bytes(784 * 1000)))
            for _ in range(8)
        ]
        calls[0].result(20)
        kill(crew, 1, signal.SIGTERM)
        errors = [error.code() for call in calls if (error := call.exception()) is not None]
        assert set(errors) <= {grpc.StatusCode.UNAVAILABLE}
        answered = len(calls) - len(errors)
        assert statistics(by_number[2]).inference_stats.success.count == before + answered
    assert [line for line in crew.lines if line["event"] == "worker ended"][-1]["exit_code"] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_under_load_loses_no_call_that_was_entered(start_server: StartServer, number: int):
    """As many calls are answered as the workers say; what comes later is refused cleanly."""
    server = start_server("--workers=2", "--log-level=debug")
    with ExitStack() as stack:
        loads = []
        for _ in range(8):
            channel = stack.enter_context(server.channel())
            loads.append(Load(lambda channel=channel: classify(channel, images=64)))
        time.sleep(0.5)
        server.signal(number)
        assert server.process.wait(30) == 0
        for each in loads:
            each.stop()
    server.reader.join(5)
    codes = [line["code"] for line in server.lines if line["event"] == "call"]
    assert sum(each.answered for each in loads) == codes.count("OK") > 50
    assert set(codes) <= {"OK", "UNAVAILABLE"}
    assert {error.code() for each in loads for error in each.errors} == {grpc.StatusCode.UNAVAILABLE}
    assert [line["event"] for line in server.lines if "worker" not in line][-2:] == ["draining", "stopped"]
    assert not [line for line in server.lines if line["event"] == "worker ended"]


def test_ctrl_c_in_a_terminal_is_for_the_supervisor(start_server: StartServer):
    """It goes to every process of the foreground group, and the workers end their calls all the same."""
    server = start_server("--workers=2", group=True)
    with ExitStack() as stack:
        loads = []
        for _ in range(4):
            channel = stack.enter_context(server.channel())
            loads.append(Load(lambda channel=channel: classify(channel, images=64)))
        time.sleep(0.3)
        os.killpg(server.process.pid, signal.SIGINT)
        assert server.process.wait(30) == 0
        for each in loads:
            each.stop()
    server.reader.join(5)
    assert {error.code() for each in loads for error in each.errors} == {grpc.StatusCode.UNAVAILABLE}
    assert not [line for line in server.text if not line.startswith("{")]
    assert not [line for line in server.lines if line["event"] == "worker ended"]


def test_a_second_signal_ends_all_workers_at_once(start_server: StartServer):
    """Even one that hangs: exit code 1, and none is left."""
    server = start_server("--workers=2", "--grace-seconds=60")
    os.kill(pids(server)[1], signal.SIGSTOP)
    server.signal(signal.SIGTERM)
    server.wait_for("draining")
    server.signal(signal.SIGINT)
    assert server.process.wait(20) == 1
    assert server.lines[-1]["event"] == "stopped at once by a second signal"
    assert not [pid for pid in pids(server).values() if runs(pid)]


def test_a_worker_that_does_not_end_in_time_is_killed(start_server: StartServer):
    """Some seconds after the grace time; the server ends well."""
    server = start_server("--workers=2", "--grace-seconds=0")
    os.kill(pids(server)[1], signal.SIGSTOP)
    assert server.end() == 0
    server.reader.join(5)
    assert server.wait_for("worker killed, it did not end")["worker"] == 1
    assert not [pid for pid in pids(server).values() if runs(pid)]


def test_workers_end_when_their_supervisor_was_killed(start_server: StartServer):
    """Nobody is left to hold the port."""
    server = start_server("--workers=2", "--grace-seconds=5")
    server.process.kill()
    deadline = time.monotonic() + 30
    while any(runs(pid) for pid in pids(server).values()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    start_server(f"--port={server.port}")


def runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("first", ["1", "2"])
@pytest.mark.parametrize("second", ["1", "2"])
def test_a_second_server_on_the_port_is_refused(start_server: StartServer, first: str, second: str):
    """However many workers the two have."""
    server = start_server(f"--workers={first}")
    other = start_server(f"--port={server.port}", f"--workers={second}", wait=False)
    assert other.process.wait(30) == 1
    other.reader.join(5)
    assert "".join(other.text).strip() == f"digits: cannot listen on 127.0.0.1:{server.port}: Address already in use"
    with server.channel() as channel:
        classify(channel)


def test_a_start_that_fails_is_told_in_one_sentence(start_server: StartServer, tmp_path: Path):
    """By the supervisor, as by a server of one."""
    server = start_server("--workers=2", models=tmp_path, wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    sentence = f"models folder {tmp_path} holds no model, expected <name>/<version>/model.onnx in it"
    assert "".join(server.text).strip() == f"digits: {sentence}"


def test_a_provider_that_is_required_but_missing_stops_the_start(start_server: StartServer):
    """In every worker, and so all of them."""
    server = start_server("--workers=2", "--provider=cuda", "--require-provider", wait=False)
    assert server.process.wait(30) == 1
    server.reader.join(5)
    assert server.text[-1].startswith("digits: ")
    assert "CUDAExecutionProvider" in server.text[-1]


def test_a_worker_that_cannot_start_again_is_tried_ever_more_seldom(start_server: StartServer, tmp_path: Path):
    """The other one goes on meanwhile; once what hindered it is gone, it is back."""
    models = tmp_path / "models"
    place(models, NAME, 1)
    server = start_server("--workers=2", models=models)
    models.rename(tmp_path / "away")
    os.kill(pids(server)[2], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while len(ends := [line for line in server.lines if line["event"] == "worker ended"]) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert [line["restart_seconds"] for line in ends[:3]] == [0.0, 0.5, 1.0]
    assert "reason" not in ends[0]
    assert f"models folder {models}" in ends[1]["reason"]
    with server.channel() as channel:
        classify(channel)
    before = len(server.lines)
    (tmp_path / "away").rename(models)
    server.wait_for("worker serving", after=before, worker=2)


def test_workers_auto_is_one_for_each_usable_core(start_server: StartServer):
    """As the line says that tells that all of them serve."""
    server = start_server("--workers=auto")
    assert server.wait_for("serving").get("workers", 1) == usable_cores()


def test_only_lines_of_workers_have_a_number(crew: Server):
    """The service as a whole is told about once, by the supervisor."""
    assert {line.get("worker") for line in crew.lines if line["event"] == "model ready"} == set(BOTH)
    whole = [line for line in crew.lines if line["event"] in ("listening", "serving")]
    assert [(line["event"], line["port"], "worker" in line) for line in whole] == [
        ("listening", crew.port, False),
        ("serving", crew.port, False),
    ]
