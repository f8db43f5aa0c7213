"""gRPC on ASGI: calls that end before their time, by the client, the clock, a limit or the server's end."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from service.api.method import Kind, LocalContext, Method
from service.transports.grpc_asgi.application import GrpcAsgi
from service.transports.grpc_asgi.framing import frame
from tests.unit.service.transports.grpc_asgi.under_pyvoy import REPEAT, SPEAK, Request, Table, say

CANCELLED = {"Cancelled": 1}


@pytest.fixture(autouse=True, scope="module")
def collect_only_what_these_tests_make() -> Iterator[None]:
    """Collecting everything that a whole run has imported takes a quarter of a second each time."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
async def nothing_is_left(front: GrpcAsgi):
    """After each test: no call, no byte, no task, and nothing that went wrong where nobody looked."""
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    yield
    gc.collect()
    for _ in range(200):  # generators that nobody reads any more are ended by tasks of their own
        await asyncio.sleep(0.01)
        if len(asyncio.all_tasks()) == 1:
            break
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert front.in_flight == 0
    assert front.admission._bytes == 0
    assert failed == []


def code(call: Request) -> grpc.StatusCode:
    return next(each for each in grpc.StatusCode if each.value[0] == call.code)


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
@pytest.mark.parametrize("pieces", [[], [b"\0\0"], [b"\0\0\0\0\x07"]])
async def test_a_client_that_goes_before_its_message_is_whole(front: GrpcAsgi, table: Table, path: str, pieces):
    """Is answered nothing."""
    call = Request(*pieces, path=path, unended=True)
    running = asyncio.create_task(call.run(front))
    await asyncio.sleep(0)
    call.go()
    await running
    assert call.sent == []
    if path == REPEAT:
        assert table.failures(REPEAT) == CANCELLED


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
@pytest.mark.parametrize("repeats", [False, True])
async def test_a_client_that_goes_while_it_is_answered(front: GrpcAsgi, table: Table, path: str, repeats: bool):
    """Its handler is cancelled, under either kind of server; the call is counted as cancelled, not as failed."""
    call = Request(say("hang"), path=path, repeats=repeats)
    running = asyncio.create_task(call.run(front))
    await table.hung.wait()
    call.go()
    await running
    assert call.sent == []
    assert table.ended == ["CancelledError"]
    assert table.failures(path) == CANCELLED


async def test_a_server_that_repeats_itself_is_not_asked_all_the_time(front: GrpcAsgi, table: Table):
    """Now and then is enough, even where it answers at once."""
    call = Request(say("hang"), repeats=True)
    running = asyncio.create_task(call.run(front))
    await asyncio.sleep(0.55)
    assert 2 <= call.received <= 5
    table.release.set()
    await running
    assert call.answers() == ["hang"]


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_a_client_that_goes_between_messages_or_after_the_answer(front: GrpcAsgi, table: Table, path: str):
    """What was sent to it stays sent."""
    call = Request(say("one"), path=path, unended=path == REPEAT)
    running = asyncio.create_task(call.run(front))
    while not call.answers() if call.sent else True:  # noqa: ASYNC110
        await asyncio.sleep(0)
    call.go()
    await running
    assert call.answers() == ["one"]
    assert table.failures(path) == (CANCELLED if path == REPEAT else {})


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_nobody_to_send_to_ends_the_call(front: GrpcAsgi, table: Table, path: str):
    """Servers say so by an OSError."""
    call = Request(say("one"), say("two"), path=path) if path == REPEAT else Request(say("one"))
    call.unsendable = True
    await call.run(front)
    assert call.sent == []
    assert table.failures(path) == (CANCELLED if path == REPEAT else {})
    refused = Request(say("full"), path=path)
    refused.unsendable = True
    await refused.run(front)
    assert refused.sent == []


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_a_deadline_ends_a_handler_that_hangs(front: GrpcAsgi, table: Table, path: str):
    """DEADLINE_EXCEEDED, counted as such."""
    call = await Request(say("hang"), path=path, headers=[(b"grpc-timeout", b"50m")]).run(front)
    assert call.only_trailers
    assert code(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert table.ended == ["CancelledError"]
    assert table.failures(path) == {"Expired": 1}


@pytest.mark.parametrize("pieces", [[], [b"\0\0"], [b"\0\0\0\0\x07"], [say("hello")]])
async def test_a_request_that_never_arrives_whole_is_given_up(front: GrpcAsgi, table: Table, pieces, monkeypatch):
    """DEADLINE_EXCEEDED, counted, though its client gave it no deadline; a stream may take its time."""
    monkeypatch.setattr("service.transports.limits.ARRIVAL_SECONDS", 0.1)
    call = await Request(*pieces, unended=True).run(front)
    assert code(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert "had not arrived whole" in call.message
    assert table.failures(SPEAK) == {"DeadlinePassed": 1}
    stream = Request(path=REPEAT, unended=True)
    running = asyncio.create_task(stream.run(front))
    slow = Request(say("hang"))
    answering = asyncio.create_task(slow.run(front))  # it has arrived, and only its answer takes long
    await asyncio.sleep(0.5)
    table.release.set()
    stream.more(say("late"), end=True)
    await asyncio.gather(running, answering)
    assert (stream.answers(), slow.answers()) == (["late"], ["hang"])


async def test_a_deadline_ends_a_stream_that_waits_for_its_client(front: GrpcAsgi, table: Table):
    """Before its first message, and after an answer: then by trailers."""
    for words in ([], ["one"]):
        pieces = [say(word) for word in words]
        call = await Request(*pieces, path=REPEAT, unended=True, headers=[(b"grpc-timeout", b"50m")]).run(front)
        assert (call.answers() if words else []) == words
        assert code(call) is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.sleep(0.01)  # what is cancelled ends in the next turns of the loop
        assert call.receiving == 0


async def test_a_deadline_ends_a_unary_call_that_does_not_arrive(front: GrpcAsgi, table: Table):
    """A slow sender's."""
    call = await Request(b"\0\0", unended=True, headers=[(b"grpc-timeout", b"50m")]).run(front)
    assert code(call) is grpc.StatusCode.DEADLINE_EXCEEDED
    assert call.receiving == 0


async def test_a_server_slow_to_send_a_refusal_is_not_interrupted(front: GrpcAsgi, table: Table):
    """Neither by a deadline nor because the client goes: the call has ended."""
    call = Request(say("hang"), headers=[(b"grpc-timeout", b"10m")])
    sent, slow = call.send, asyncio.Event()

    async def send(event: dict[str, Any]) -> None:
        slow.set()
        await asyncio.sleep(0.4)
        await sent(event)

    call.send = send  # type: ignore[method-assign]
    running = asyncio.create_task(call.run(front))
    await slow.wait()
    call.go()
    await running
    assert code(call) is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("front", ["asgi"], indirect=True)  # pyvoy has nothing to cancel
async def test_a_server_that_cancels_a_call_is_obeyed(front: GrpcAsgi, table: Table):
    """The cancellation is the server's to see."""
    call = Request(say("hang"))
    running = asyncio.create_task(call.run(front))
    await table.hung.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert table.ended == ["CancelledError"]


@pytest.mark.parametrize("word", ["crash", "full", "one"])
@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_whatever_a_handler_does_nothing_is_left(front: GrpcAsgi, path: str, word: str):
    """Several times, the request open or at its end; `nothing_is_left` looks."""
    for index in range(4):
        call = Request(say(word), path=path, unended=word != "one" and path == REPEAT and index % 2 == 0)
        await call.run(front)


async def test_calls_beyond_those_allowed_at_once_are_refused(table: Table, front: GrpcAsgi):
    """And let in again when one has ended."""
    front.admission.max_calls = 2
    running = [asyncio.create_task(Request(say("hang"), path=path).run(front)) for path in (SPEAK, REPEAT)]
    await asyncio.sleep(0.01)
    for path in (SPEAK, REPEAT):
        refused = await Request(say("one"), path=path).run(front)
        assert code(refused) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert b"grpc-retry-pushback-ms" not in refused.trailers
    table.release.set()
    assert [call.answers() for call in await asyncio.gather(*running)] == [["hang"], ["hang"]]
    assert (await Request(say("one")).run(front)).answers() == ["one"]


async def test_requests_beyond_the_bytes_that_may_wait_are_refused_like_a_full_queue(table: Table, front: GrpcAsgi):
    """Those that are still arriving count; a request that is alone always fits, and room comes back."""
    slow = Request(b"\0\0\0\3\xe3" + bytes(900), unended=True)
    running = asyncio.create_task(slow.run(front))
    await asyncio.sleep(0.01)
    big = say("x" * 900)
    for pieces in ([big], [big[:5], big[5:]]):
        refused = await Request(*pieces).run(front)
        assert code(refused) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "there is no room" in refused.message
        assert b"grpc-retry-pushback-ms" in refused.trailers
    slow.go()
    await running
    for pieces in ([big], [big[:5], big[5:]]):
        assert (await Request(*pieces).run(front)).answers() == ["x" * 900]


async def test_streams_of_a_draining_server_end_after_what_was_read(table: Table, front: GrpcAsgi):
    """With UNAVAILABLE; unary calls go on."""
    waiting, busy = Request(say("one"), path=REPEAT, unended=True), Request(say("hang"), path=REPEAT, unended=True)
    unary = Request(say("hang"))
    running = [asyncio.create_task(call.run(front)) for call in (waiting, busy, unary)]
    await asyncio.sleep(0.01)
    front.drain()
    await asyncio.sleep(0.01)
    assert not running[0].done()  # nobody has yet told the client to come back no more
    front.allow_rejections()
    await asyncio.sleep(0.01)
    assert running[0].done()
    table.release.set()
    await asyncio.gather(*running)
    for call, word in ((waiting, "one"), (busy, "hang")):
        assert call.answers() == [word]
        assert code(call) is grpc.StatusCode.UNAVAILABLE
    assert unary.answers() == ["hang"]
    late = await Request(path=REPEAT, unended=True).run(front)
    assert code(late) is grpc.StatusCode.UNAVAILABLE


async def test_a_large_answer_stays_in_flight_until_it_is_taken():
    """So that clients who read nothing count among the calls at once; a small one is not waited for."""
    taken, events = asyncio.Event(), []

    async def large(request: StringValue, call: LocalContext) -> StringValue:
        return StringValue(value=request.value * 200_000)

    front = GrpcAsgi(
        {"/t.T/Large": Method("/t.T/Large", StringValue, StringValue, Kind.UNARY, large)},
        max_message_bytes=1000,
        max_pending_bytes=1000,
        max_concurrent_calls=10,
    )
    message = StringValue(value="x").SerializeToString()

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": frame(message), "more_body": False}

    async def send(event: dict[str, Any]) -> None:
        events.append(event)
        if event.get("more_body"):
            await taken.wait()

    headers = [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
    scope = {"type": "http", "method": "POST", "path": "/t.T/Large", "headers": headers, "client": None}
    call = asyncio.create_task(front(scope, receive, send))
    await asyncio.sleep(0.01)
    assert front.in_flight == 1
    assert [event["type"] for event in events] == ["http.response.start", "http.response.body"]
    taken.set()
    await call
    assert front.in_flight == 0
    assert events[-1]["type"] == "http.response.trailers"
