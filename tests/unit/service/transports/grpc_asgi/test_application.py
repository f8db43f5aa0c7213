"""gRPC on ASGI: what a call may look like, and what comes back; after grpc's document "gRPC over HTTP2"."""

import asyncio
import base64
import contextvars
import time
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import BadRequest, RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from service.transports.already_started import STARTED, task_or_started
from service.transports.grpc_asgi.application import GrpcAsgi
from service.transports.grpc_asgi.call import metadata_headers, status_headers
from tests.unit.service.transports.grpc_asgi.under_pyvoy import REPEAT, SPEAK, Request, Table, say

Code = grpc.StatusCode


def number(code: grpc.StatusCode) -> int:
    return code.value[0]


@pytest.mark.parametrize("repeats", [False, True])
async def test_a_unary_call_is_answered(front: GrpcAsgi, repeats: bool):
    """Headers, one message, trailers; the body is asked for no more often than it needs."""
    call = await Request(say("hello"), repeats=repeats).run(front)
    assert (call.status, call.headers) == (200, {b"content-type": b"application/grpc"})
    assert call.answers() == ["hello"]
    assert call.trailers == {b"grpc-status": b"0"}
    assert [event["type"].rpartition(".")[2] for event in call.sent] == ["start", "body", "trailers"]
    assert call.received == 1


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_a_body_may_come_in_any_pieces(front: GrpcAsgi, path: str):
    """Byte by byte, empty ones, the end in an event of its own."""
    data = say("hello")
    for pieces in ([bytes([byte]) for byte in data], [data, b""], [b"", data], [data[:4], b"", data[4:]]):
        assert (await Request(*pieces, path=path).run(front)).answers() == ["hello"]


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_a_request_may_be_nothing_but_headers(front: GrpcAsgi, path: str):
    """Then servers have its end at once: a stream without messages, and a unary call that lacks its one."""
    call = Request(path=path, repeats=True)
    call.scope["no body"] = True
    await call.run(front)
    assert call.code == (number(Code.OK) if path == REPEAT else number(Code.INTERNAL))
    assert call.answers() == []


async def test_events_may_leave_out_what_has_a_default(front: GrpcAsgi):
    """As ASGI has it: no `body` is an empty one, no `more_body` is the end."""
    call = Request()
    call._events.put_nowait({"type": "http.request", "more_body": True})
    call._events.put_nowait({"type": "http.request", "body": say("hello")})
    assert (await call.run(front)).answers() == ["hello"]


async def test_a_stream_is_answered_message_by_message(front: GrpcAsgi):
    """Before its request has ended."""
    import asyncio

    call = Request(path=REPEAT, unended=True)
    running = asyncio.create_task(call.run(front))
    for count, word in enumerate(("one", "two"), 1):
        call.told.clear()
        call.more(say(word))
        while len(call.answers()) < count:
            await call.told.wait()
            call.told.clear()
        assert call.answers()[-1] == word
    call.more(b"", end=True)
    await running
    assert call.trailers == {b"grpc-status": b"0"}


async def test_a_stream_of_nothing_is_answered_by_nothing(front: GrpcAsgi):
    """Headers and trailers."""
    call = await Request(b"", path=REPEAT).run(front)
    assert (call.answers(), call.code) == ([], 0)


async def test_an_error_before_any_answer_is_in_the_headers_alone(front: GrpcAsgi):
    """Trailers-only, with details; the sentence is percent-encoded UTF-8."""
    for path in (SPEAK, REPEAT):
        call = await Request(say("full"), path=path).run(front)
        assert call.only_trailers
        assert (call.status, call.headers[b"content-type"]) == (200, b"application/grpc")
        assert call.code == number(Code.RESOURCE_EXHAUSTED)
        assert call.headers[b"grpc-message"] == b"100 %25 full, sp%C3%A4ter"
        assert call.headers[b"grpc-retry-pushback-ms"] == b"250"
        packed = call.headers[b"grpc-status-details-bin"]
        assert not packed.endswith(b"=")
        status = Status.FromString(base64.b64decode(packed + b"=="))
        assert (status.code, status.message) == (call.code, call.message)
        retry = RetryInfo()
        assert status.details[0].Unpack(retry)
        assert retry.retry_delay.ToMilliseconds() == 250


async def test_a_line_break_in_a_sentence_does_not_break_the_headers(front: GrpcAsgi):
    """It is encoded as well."""
    call = await Request(say("wrong")).run(front)
    assert call.headers[b"grpc-message"] == b"value: is wrong%0A"
    status = Status.FromString(base64.b64decode(call.headers[b"grpc-status-details-bin"] + b"=="))
    bad = BadRequest()
    assert status.details[0].Unpack(bad)
    assert bad.field_violations[0].field == "value"


@given(st.text(max_size=50))
def test_every_sentence_comes_back_as_it_was(text: str):
    """`grpc-message` is printable ASCII, and says the same once it is decoded."""
    from urllib.parse import unquote

    headers = dict(status_headers(3, text, ()))
    written = headers.get(b"grpc-message", b"")
    assert all(0x20 <= byte < 0x7F for byte in written)
    assert unquote(written.decode()) == text


async def test_an_error_after_an_answer_is_in_the_trailers(front: GrpcAsgi, table: Table):
    """What was answered before it stands."""
    call = await Request(say("one"), say("full"), say("three"), path=REPEAT).run(front)
    assert call.answers() == ["one"]
    assert call.code == number(Code.RESOURCE_EXHAUSTED)
    assert b"grpc-retry-pushback-ms" in call.trailers
    assert b"grpc-status" not in call.headers
    assert table.failures(REPEAT) == {"QueueFull": 1}


@pytest.mark.parametrize("word", ["crash", "no file"])
@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_a_crash_is_internal_and_tells_nothing(front: GrpcAsgi, path: str, word: str):
    """An OSError of a handler is no client that has gone."""
    call = await Request(say(word), path=path).run(front)
    assert (call.code, call.message) == (number(Code.INTERNAL), "internal error")
    assert b"secret" not in str(call.sent).encode()
    assert front.in_flight == 0


async def test_metadata_goes_both_ways(front: GrpcAsgi, table: Table):
    """Text as it is, bytes in base64 with padding or without; of several under one key the last."""
    headers = [
        (b"x-name", b"Ada"),
        (b"x-one-bin", base64.b64encode(b"\0\xff").rstrip(b"=")),
        (b"x-two-bin", base64.b64encode(b"\1")),
        (b"x-many-bin", base64.b64encode(b"first") + b", " + base64.b64encode(b"last")),
        (b"x-wrong-bin", b"*"),
        (b"grpc-timeout", b"9S"),
    ]
    call = await Request(say("trailers"), headers=headers).run(front)
    [seen] = table.calls
    assert seen.metadata == {
        "x-name": "Ada",
        "x-one-bin": b"\0\xff",
        "x-two-bin": b"\1",
        "x-many-bin": b"last",
        "x-wrong-bin": b"",
    }
    assert seen.peer == "10.0.0.1:4321"
    assert call.trailers == {b"grpc-status": b"0", b"x-note": b"kept", b"x-raw-bin": b"AP8B"}
    assert metadata_headers([("a-bin", b"\0\xff\1")]) == [(b"a-bin", b"AP8B")]


async def test_trailers_of_a_stream_reach_the_client(front: GrpcAsgi):
    """As those of a unary call."""
    call = await Request(say("trailers"), path=REPEAT).run(front)
    assert call.trailers[b"x-note"] == b"kept"


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"40000m", 40), (b"50000000u", 50), (b"99999999n", 0.1),
        (b"99999999H", 99999999 * 3600), (b"00000005S", 5),
    ],
)  # fmt: skip
async def test_grpc_timeout_becomes_a_deadline(front: GrpcAsgi, table: Table, given: bytes, seconds: float):
    """In every unit."""
    before = time.monotonic()
    await Request(say("hello"), headers=[(b"grpc-timeout", given)]).run(front)
    [seen] = table.calls
    assert before + seconds - 1e-3 <= seen.deadline <= time.monotonic() + seconds


@pytest.mark.parametrize(
    "given", [b"", b"S", b"5", b"5s", b"-5S", b"+5S", b"1.5S", b"5 S", b"123456789S", "٣S".encode(), b"\xb2S", b"5SS"]
)
@pytest.mark.parametrize("path", [SPEAK, REPEAT])
async def test_a_malformed_timeout_is_refused(front: GrpcAsgi, table: Table, path: str, given: bytes):
    """By its name."""
    call = await Request(say("hello"), path=path, headers=[(b"grpc-timeout", given)]).run(front)
    assert call.code == number(Code.INVALID_ARGUMENT)
    assert call.message.startswith("grpc-timeout: ")
    assert table.calls == []


@pytest.mark.parametrize("media", [b"application/grpc", b"application/grpc+proto", b"application/grpc; charset=utf-8"])
async def test_grpcs_content_types_are_taken(front: GrpcAsgi, media: bytes):
    """Parameters or none."""
    assert (await Request(say("hello"), content_type=media).run(front)).answers() == ["hello"]


@pytest.mark.parametrize(
    "media", [None, b"", b"application/json", b"application/grpc-web", b"application/grpcx", b"application/grpc+json"]
)
async def test_other_content_types_are_http_415(front: GrpcAsgi, media: bytes | None):
    """As the specification asks, lest a client take it for a call."""
    call = await Request(say("hello"), content_type=media).run(front)
    assert call.status == 415
    assert b"grpc-status" not in call.trailers


@pytest.mark.parametrize("verb", ["GET", "HEAD", "PUT", "OPTIONS"])
async def test_other_methods_are_http_405(front: GrpcAsgi, verb: str):
    """And say which one is wanted."""
    call = await Request(b"", verb=verb).run(front)
    assert (call.status, call.headers[b"allow"]) == (405, b"POST")


@pytest.mark.parametrize("path", ["/", "", "/t.T/Nothing", "/t.T/speak", "/t.T/Speak/", "t.T/Speak", "*"])
async def test_an_unknown_method_is_unimplemented(front: GrpcAsgi, path: str):
    """Trailers-only."""
    call = await Request(say("hello"), path=path).run(front)
    assert call.only_trailers
    assert call.code == number(Code.UNIMPLEMENTED)


@pytest.mark.parametrize("path", [SPEAK, REPEAT])
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_compression_goes_both_ways(front: GrpcAsgi, path: str, encoding):
    """The answer is compressed as the request where the client takes that, and says so."""
    headers = [(b"grpc-encoding", encoding.encode()), (b"grpc-accept-encoding", b"identity, deflate,gzip")]
    call = await Request(say("hello" * 50, encoding), path=path, headers=headers).run(front)
    assert call.answers(encoding) == ["hello" * 50]
    assert call.headers[b"grpc-encoding"] == encoding.encode()
    assert len(call.body) < 100
    assert (await Request(say("plain"), path=path, headers=headers).run(front)).answers(encoding) == ["plain"]


@pytest.mark.parametrize("accepted", [[], [(b"grpc-accept-encoding", b"identity")], [(b"grpc-accept-encoding", b"")]])
async def test_an_answer_is_not_compressed_for_who_does_not_take_it(front: GrpcAsgi, accepted):
    """Whatever the request was."""
    headers = [(b"grpc-encoding", b"gzip"), *accepted]
    call = await Request(say("hello", "gzip"), headers=headers).run(front)
    assert call.answers() == ["hello"]
    assert b"grpc-encoding" not in call.headers


async def test_identity_is_an_encoding(front: GrpcAsgi):
    """Named or not."""
    call = await Request(say("hello"), headers=[(b"grpc-encoding", b"identity")]).run(front)
    assert call.answers() == ["hello"]


async def test_an_unknown_encoding_is_unimplemented(front: GrpcAsgi):
    """And the answer says which ones there are."""
    call = await Request(say("hello"), headers=[(b"grpc-encoding", b"br")]).run(front)
    assert call.code == number(Code.UNIMPLEMENTED)
    assert call.headers[b"grpc-accept-encoding"] == b"identity,gzip,deflate"


@pytest.mark.parametrize(
    ("pieces", "code", "message"),
    [
        ([b""], Code.INTERNAL, "ended before its message was whole"),
        ([b"\0\0\0"], Code.INTERNAL, "ended before its message was whole"),
        ([say("hello")[:-1]], Code.INTERNAL, "ended before its message was whole"),
        ([say("one") + say("two")], Code.INTERNAL, "more than one message"),
        ([say("one"), say("two")], Code.INTERNAL, "more than one message"),
        ([say("one") + b"\0"], Code.INTERNAL, "more than one message"),
        ([b"\2" + say("one")[1:]], Code.INTERNAL, "begins with the byte 2"),
        ([say("one", "gzip")], Code.INTERNAL, "names no grpc-encoding"),
        ([say("x" * 1000)], Code.RESOURCE_EXHAUSTED, "has 1003 bytes, expected at most 1000"),
        ([b"\0\xff\xff\xff\xff", b"x"], Code.RESOURCE_EXHAUSTED, "has 4294967295 bytes, expected at most 1000"),
        ([b"\0\0\0\0\1\xff"], Code.INVALID_ARGUMENT, "no google.protobuf.StringValue"),
        ([b"\0\0\0\0\1", b"\xff"], Code.INVALID_ARGUMENT, "no google.protobuf.StringValue"),
    ],
)
async def test_what_is_no_single_message_is_refused(front: GrpcAsgi, table: Table, pieces, code, message: str):
    """A unary call has exactly one."""
    call = await Request(*pieces).run(front)
    assert call.only_trailers
    assert call.code == number(code)
    assert message in call.message
    assert table.calls == []
    assert front.admission._bytes == 0


@pytest.mark.parametrize(
    ("pieces", "answers", "code"),
    [
        ([say("one")[:-1]], [], Code.INTERNAL),
        ([say("one"), say("two")[:-1]], ["one"], Code.INTERNAL),
        ([say("one") + b"\7\0\0\0\0"], ["one"], Code.INTERNAL),
        ([say("one") + b"\0\xff\0\0\0"], ["one"], Code.RESOURCE_EXHAUSTED),
        ([say("one") + b"\0\0\0\0\1\xff"], ["one"], Code.INVALID_ARGUMENT),
    ],
)
async def test_a_stream_is_answered_until_it_goes_wrong(front: GrpcAsgi, pieces, answers, code):
    """Then it ends with what is wrong."""
    call = await Request(*pieces, path=REPEAT).run(front)
    assert call.answers() == answers
    assert call.code == number(code)


async def test_a_message_of_just_the_limit_is_taken(front: GrpcAsgi):
    """In one piece or two."""
    word = "x" * 997
    data = say(word)
    assert len(data) == 1005
    assert (await Request(data).run(front)).answers() == [word]
    assert (await Request(data[:7], data[7:]).run(front)).answers() == [word]


@pytest.mark.parametrize("more", [{}, {"context": contextvars.copy_context()}, {"name": "answering"}])
async def test_a_task_is_made_of_whatever_python_gives_for_it(more: dict[str, Any]):
    """Its releases give the factory of tasks ever more; what has begun by itself stays what it is."""
    loop = asyncio.get_running_loop()
    task = task_or_started(loop, asyncio.sleep(0, "slept"), **more)
    assert await task == "slept"
    assert "name" not in more or task.get_name() == more["name"]
    assert task_or_started(loop, STARTED, **more) is STARTED


async def test_a_request_that_the_fast_path_declines_comes_to_it_once(front: GrpcAsgi, table: Table):
    """Its handler answers it."""
    call = Request(say("one"))
    await call.run(front)
    assert call.answers() == ["one"]
    assert table.tried == ["one"]
