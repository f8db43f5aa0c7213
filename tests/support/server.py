"""What tests drive the real server with: its process and its methods."""

import http.client
import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from digits_protocol.digits.v1 import digits_pb2 as pb
from prometheus_client.parser import text_string_to_metric_families as parse

from tests.support.processes import ROOT

MODELS = ROOT / "models"
NAMES = ", ".join(sorted(path.name for path in MODELS.iterdir()))
"""Of the committed models, as sentences list them."""
SMALL = {"digits-8x8": (1,), "mnist-16x16": (1, 2)}
"""The models and versions that a server of tests has, unless its test says otherwise: 0.1 of 45 MB."""
START_SECONDS = 60
STEM = "/digits.v1.DigitsService/"


@dataclass
class Server:
    """A `digits serve` process."""

    process: subprocess.Popen[str]
    lines: list[dict] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    port: int = 0
    http_port: int | None = None

    def __post_init__(self) -> None:
        self._fresh = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stderr:
            with self._fresh:
                self.text.append(line)
                if line.startswith("{"):
                    self.lines.append(_parsed(line))
                self._fresh.notify_all()
        with self._fresh:
            self._fresh.notify_all()

    def wait_for(self, event: str, seconds: float = START_SECONDS, *, after: int = 0, **fields: object) -> dict:
        """The first log line of that event with these fields, the first `after` lines aside."""
        deadline = time.monotonic() + seconds
        with self._fresh:
            while True:
                for line in self.lines[after:]:
                    if line["event"] == event and fields.items() <= line.items():
                        return line
                left = deadline - time.monotonic()
                if left <= 0 or (self.process.poll() is not None and not self.reader.is_alive()):
                    raise AssertionError(f"no {event!r} in the log:\n{''.join(self.text)}")
                self._fresh.wait(min(left, 0.2))

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def channel(self) -> grpc.Channel:
        """A channel of its own, that takes answers of any size."""
        return grpc.insecure_channel(
            self.address,
            options=[
                ("grpc.max_receive_message_length", -1),
                ("grpc.max_send_message_length", -1),
                ("grpc.use_local_subchannel_pool", 1),
                ("grpc.enable_http_proxy", 0),
            ],
        )

    def http(
        self, path: str, body: bytes | None = None, method: str = "", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of an HTTP request; with a body it is a POST. `_` in a header's name is `-`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=30)
        try:
            named = {key.replace("_", "-"): value for key, value in headers.items()}
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            response = connection.getresponse()
            return response.status, {key.lower(): value for key, value in response.getheaders()}, response.read()
        finally:
            connection.close()

    def metrics(self) -> dict[str, dict[tuple[str, ...], float]]:
        """What /metrics shows: samples by name, and by label values in the order of the label names."""
        status, _, text = self.http("/metrics")
        assert status == 200
        samples = [sample for family in parse(text.decode()) for sample in family.samples]
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for sample in samples:
            found.setdefault(sample.name, {})[tuple(value for _, value in sorted(sample.labels.items()))] = sample.value
        return found

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def resident_mib(self) -> float:
        """Memory of the process and of those it started, MiB."""
        return sum(_resident_mib(pid) for pid in family(self.process.pid))

    def end(self, seconds: float = 30) -> int:
        """Ask the process to end, and return its exit code."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def wait(self, seconds: float = 30) -> int:
        """Its exit code, once it has ended; a server that does not is killed."""
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def small_models() -> Path:
    """A models folder with a few small versions only: a server starts several times as fast with them."""
    folder = ROOT / ".cache" / "tests" / "small-models"
    for name, versions in SMALL.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for version in map(str, versions):
            with suppress(FileExistsError):
                # It holds when the clone is moved.
                (folder / name / version).symlink_to(Path("../../../../models", name, version))
    return folder


def family(pid: int) -> Iterator[int]:
    """The process and those it started, and so on."""
    yield pid
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        yield from family(int(child))


def _resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def _parsed(line: str) -> dict:
    """A line of the log. Under a flood of refused requests Envoy's lines may be broken by others."""
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return {"event": "no JSON", "text": line}


StartServer = Callable[..., Server]


class Stub:
    """The methods of DigitsService on a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        def unary(name: str, response: type):
            return channel.unary_unary(
                STEM + name,
                request_serializer=lambda m: m.SerializeToString(),
                response_deserializer=response.FromString,
            )

        self.classify = unary("Classify", pb.ClassifyResponse)
        self.read = unary("Read", pb.ReadResponse)
        self.list_models = unary("ListModels", pb.ListModelsResponse)
        self.get_model = unary("GetModel", pb.GetModelResponse)
        self.get_network = unary("GetNetwork", pb.GetNetworkResponse)
        self.get_learning = unary("GetLearning", pb.GetLearningResponse)
        self.explain = unary("Explain", pb.ExplainResponse)
        self.classify_stream = channel.stream_stream(
            STEM + "ClassifyStream",
            request_serializer=lambda m: m.SerializeToString(),
            response_deserializer=pb.ClassifyStreamResponse.FromString,
        )
