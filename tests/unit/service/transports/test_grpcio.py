"""The grpcio transport with a table of its own: what it does with answers, trailers and errors."""

import asyncio
from collections.abc import AsyncIterator

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from hpack import Encoder
from hyperframe.frame import HeadersFrame, SettingsFrame

from engine.errors import NotReady
from service.api.method import Kind, LocalContext, Method, table
from service.api.middleware.metrics import count_calls
from service.transports.grpcio.server import GrpcioTransport

LIMITS = {"max_message_bytes": 1000, "max_pending_bytes": 1500, "max_concurrent_calls": 10}


async def speak(request: StringValue, call: LocalContext) -> StringValue:
    if request.value == "trailers":
        call.trailers["x-note"] = "kept"
    if request.value == "metadata":
        return StringValue(value=f"{call.metadata['x-name']} {call.deadline is not None} {call.peer[:5]}")
    if request.value == "crash":
        raise KeyError("secret")
    return request


async def repeat(requests: AsyncIterator[StringValue], call: LocalContext) -> AsyncIterator[StringValue]:
    async for request in requests:
        if request.value == "crash":
            raise KeyError("secret")
        yield request


@pytest.fixture
async def channel():
    methods = table(
        Method("/t.T/Speak", StringValue, StringValue, Kind.UNARY, speak),
        Method("/t.T/Repeat", StringValue, StringValue, Kind.STREAM, repeat),
    )
    transport = GrpcioTransport(methods, **LIMITS)
    port = await transport.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as made:
        yield made
    await transport.stop(0)


def say(value: str) -> bytes:
    return StringValue(value=value).SerializeToString()


async def test_a_handler_sees_metadata_deadline_and_peer(channel):
    """All that LocalContext promises."""
    answer = await channel.unary_unary("/t.T/Speak")(say("metadata"), metadata=(("x-name", "Ada"),), timeout=9)
    assert StringValue.FromString(answer).value == "Ada True ipv4:"


async def test_trailers_of_a_handler_reach_the_client(channel):
    """As trailing metadata."""
    call = channel.unary_unary("/t.T/Speak")(say("trailers"))
    await call
    assert dict(await call.trailing_metadata())["x-note"] == "kept"


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_an_unexpected_error_is_internal_and_tells_nothing(channel, kind):
    """The log has it in full, the client gets no detail."""
    if kind == "unary":
        call = channel.unary_unary("/t.T/Speak")(say("crash"))
    else:
        call = channel.stream_stream("/t.T/Repeat")(iter([say("crash")]))
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await (call if kind == "unary" else call.read())
    assert raised.value.code() is grpc.StatusCode.INTERNAL
    assert raised.value.details() == "internal error"


async def test_a_stream_answers_as_it_goes(channel):
    """Message by message."""
    call = channel.stream_stream("/t.T/Repeat")()
    for word in ("one", "two"):
        await call.write(say(word))
        assert StringValue.FromString(await call.read()).value == word
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_request_over_the_limit_is_refused(channel):
    """By grpc itself."""
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await channel.unary_unary("/t.T/Speak")(say("x" * 2000))
    assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_request_that_never_comes_is_given_up(monkeypatch):
    """Its headers came, to a server that looks at who calls; the room that it took is free again."""
    monkeypatch.setattr("service.transports.limits.ARRIVAL_SECONDS", 0.3)
    speaking = Method("/t.T/Speak", StringValue, StringValue, Kind.UNARY, speak, identify=lambda call: None)
    method = count_calls(speaking)
    transport = GrpcioTransport(table(method), **LIMITS | {"max_concurrent_calls": 1})
    port = await transport.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        silent, *_ = [channel.stream_unary("/t.T/Speak")(timeout=10) for _ in range(3)]  # two as if they were apart
        await silent.wait_for_connection()
        await asyncio.sleep(0.1)
        with pytest.raises(grpc.aio.AioRpcError):
            await channel.unary_unary("/t.T/Speak")(say("there is no room"))
        assert await silent.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert "had not arrived" in await silent.details()
        assert await channel.unary_unary("/t.T/Speak")(say("there is"))
        unended = channel.stream_unary("/t.T/Speak")()
        await unended.done_writing()
        assert await unended.code() is grpc.StatusCode.INTERNAL
        assert "before its message was whole" in await unended.details()
    await transport.stop(0)
    assert {reason: timer.count for reason, timer in method.counts.calls.failures.items()} == {
        "DeadlinePassed": 3,
        "MalformedCall": 1,
    }


async def test_stopping_waits_for_calls_within_the_grace_time():
    """The handler that was entered ends; the transport stops right after it."""
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow(request: StringValue, call: LocalContext) -> StringValue:
        entered.set()
        await release.wait()
        return request

    transport = GrpcioTransport(table(Method("/t.T/Slow", StringValue, StringValue, Kind.UNARY, slow)), **LIMITS)
    port = await transport.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = asyncio.ensure_future(channel.unary_unary("/t.T/Slow")(say("x")))
        await entered.wait()
        stopping = asyncio.create_task(transport.stop(30))
        await asyncio.sleep(0.2)
        assert not stopping.done()
        release.set()
        assert StringValue.FromString(await call).value == "x"
        await asyncio.wait_for(stopping, 5)


async def test_requests_beyond_the_bytes_that_may_wait_are_refused_like_a_full_queue():
    """With RetryInfo; a request that is alone always fits, and room comes back however a call ends."""
    release = asyncio.Event()

    async def slow(request: StringValue, call: LocalContext) -> StringValue:
        await release.wait()
        if request.value.startswith("crash"):
            raise KeyError("secret")
        return request

    transport = GrpcioTransport(table(Method("/t.T/Slow", StringValue, StringValue, Kind.UNARY, slow)), **LIMITS)
    port = await transport.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/t.T/Slow")
        first = asyncio.ensure_future(call(say("crash" + "x" * 895)))
        await asyncio.sleep(0.1)
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call(say("x" * 900))
        assert raised.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "there is no room for 903 more" in raised.value.details()
        assert "grpc-retry-pushback-ms" in dict(raised.value.trailing_metadata())
        release.set()
        with pytest.raises(grpc.aio.AioRpcError):
            await first
        for _ in range(5):
            assert await call(say("x" * 900))
    await transport.stop(0)


async def test_refusals_of_a_draining_server_wait_until_nobody_listens():
    """Whoever hears one comes back at once: to this server, or to another that is about to go."""
    entered, refuse, gone = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def refused(request: StringValue, call: LocalContext) -> StringValue:
        entered.set()
        await refuse.wait()
        raise NotReady("the server is draining")

    async def stopped_listening() -> None:
        await gone.wait()

    transport = GrpcioTransport(table(Method("/t.T/Refused", StringValue, StringValue, Kind.UNARY, refused)), **LIMITS)
    port = await transport.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/t.T/Refused")(say(""))
        await entered.wait()
        stopping = asyncio.create_task(transport.stop(20, stopped_listening))
        refuse.set()
        await asyncio.sleep(0.3)
        assert not call.done()
        assert not stopping.done()
        gone.set()
        assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert await call.details() == "the server is draining"
        await stopping


async def test_a_path_that_is_no_utf8_does_not_end_the_front():
    """grpc's own server ends of it; the next one listens on the same port, as often as it takes."""
    transport = GrpcioTransport(table(Method("/t.T/Speak", StringValue, StringValue, Kind.UNARY, speak)), **LIMITS)
    port = await transport.start("127.0.0.1", 0)
    fields = {":method": "POST", ":scheme": "http", ":path": b"/\xff", ":authority": "x", "te": "trailers"}
    block = Encoder().encode({**fields, "content-type": "application/grpc"})
    request = HeadersFrame(1, block, flags=["END_HEADERS", "END_STREAM"])
    for _ in range(3):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SettingsFrame(0).serialize() + request.serialize())
        await asyncio.sleep(0.2)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            answer = await channel.unary_unary("/t.T/Speak")(say("on"), wait_for_ready=True, timeout=10)
            assert StringValue.FromString(answer).value == "on"
        writer.close()
    await transport.stop(0)


@pytest.mark.parametrize("kind", ["unary", "stream"])
async def test_bytes_that_are_no_message_are_one_call_that_failed(kind):
    """Counted once, by whoever notices."""
    method = count_calls(
        Method("/t.T/Speak", StringValue, StringValue, Kind.UNARY, speak)
        if kind == "unary"
        else Method("/t.T/Repeat", StringValue, StringValue, Kind.STREAM, repeat)
    )
    transport = GrpcioTransport(table(method), **LIMITS)
    port = await transport.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        bad = b"\xff"
        if kind == "unary":
            call = channel.unary_unary(method.path)(bad)
        else:
            call = channel.stream_stream(method.path)(iter([bad])).read()
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
    await transport.stop(0)
    assert raised.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert {reason: timer.count for reason, timer in method.counts.calls.failures.items()} == {"InvalidInput": 1}
