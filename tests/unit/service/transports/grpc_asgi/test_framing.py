"""gRPC's frames: however they are cut, whatever is wrong with them."""

import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import LimitReached, MalformedCall
from service.transports.grpc_asgi.framing import ENCODINGS, PREFIX, Encoding, FrameReader, Frames, frame

LIMIT = 1000
encodings = st.sampled_from(ENCODINGS)


def read_all(data: bytes, cuts: list[int], encoding: Encoding = "identity", limit: int = LIMIT) -> list[bytes]:
    """The messages of `data`, fed in pieces that begin at `cuts`."""
    reader = FrameReader(Frames(limit, encoding))
    messages = []
    places = [0, *sorted(cuts), len(data)]
    for begin, end in pairwise(places):
        reader.feed(data[begin:end])
        while (message := reader.next()) is not None:
            messages.append(message)
    reader.end()
    return messages


@given(st.lists(st.tuples(st.binary(max_size=60), st.booleans()), max_size=8), encodings, st.data())
def test_any_cutting_into_pieces_gives_the_same_messages(sent: list[tuple[bytes, bool]], encoding: Encoding, draw):
    """Compressed or not, message by message."""
    data = b"".join(frame(message, encoding if packed else "identity") for message, packed in sent)
    cuts = draw.draw(st.lists(st.integers(0, len(data)), max_size=20))
    assert read_all(data, cuts, encoding) == [message for message, _ in sent]
    assert read_all(data, list(range(len(data))), encoding) == [message for message, _ in sent]


@given(st.binary(max_size=LIMIT), encodings)
def test_a_whole_frame_is_read_where_it_lies(message: bytes, encoding: Encoding):
    """The message begins at the place that is told; its own bytes where nothing was to unpack."""
    framed = frame(message, encoding)
    assert Frames(LIMIT, encoding).length(framed[:PREFIX]) == len(framed) - PREFIX
    whole, start = Frames(LIMIT, encoding).message(framed)
    assert whole[start:] == message
    assert (whole is framed) == (encoding == "identity")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_compressed_message_is_what_zlib_makes_of_it(encoding: Encoding):
    """gzip by RFC 1952, deflate in zlib's format, RFC 1950, as gRPC has it."""
    framed = frame(b"seven" * 100, encoding)
    assert (framed[0], int.from_bytes(framed[1:PREFIX], "big")) == (1, len(framed) - PREFIX)
    assert zlib.decompress(framed[PREFIX:], 31 if encoding == "gzip" else 15) == b"seven" * 100


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_a_bomb_is_refused_before_it_has_grown(encoding: Encoding):
    """A hundred megabytes in a hundred kilobytes: no more of it is unpacked than a message may have."""
    bomb = frame(bytes(100_000_000), encoding)
    tracemalloc.start()
    with pytest.raises(LimitReached, match=r"more than 1000 bytes once it is decompressed"):
        Frames(LIMIT, encoding).message(bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000


@given(st.integers(LIMIT + 1, 2**32 - 1))
def test_a_length_over_the_limit_is_refused_before_anything_came(length: int):
    """Its prefix is enough."""
    reader = FrameReader(Frames(LIMIT, "identity"))
    reader.feed(b"\0" + length.to_bytes(4, "big"))
    with pytest.raises(LimitReached, match=f"has {length} bytes, expected at most 1000"):
        reader.next()


def test_a_message_of_just_the_limit_is_taken():
    """As sent, and as unpacked."""
    for encoding in ENCODINGS:
        assert read_all(frame(bytes(LIMIT), encoding), [], encoding) == [bytes(LIMIT)]


@given(st.integers(2, 255), st.binary(min_size=4, max_size=20))
def test_a_frame_begins_with_zero_or_one(flag: int, rest: bytes):
    """Nothing else is defined."""
    with pytest.raises(MalformedCall, match=f"begins with the byte {flag}"):
        read_all(bytes([flag]) + rest, [])


def test_a_compressed_message_needs_the_name_of_its_encoding():
    """Without one nobody knows how to unpack it."""
    with pytest.raises(MalformedCall, match="names no grpc-encoding"):
        read_all(frame(b"x", "gzip"), [], "identity")


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@given(body=st.binary(max_size=40))
def test_what_is_not_compressed_so_is_refused(encoding: Encoding, body: bytes):
    """Noise, nothing, half of it, more after it."""
    packed = frame(b"seven" * 9, encoding)[PREFIX:]
    for wrong in (body, b"", packed[:-1], packed + b"\0"):
        with pytest.raises(MalformedCall, match=f"no valid {encoding}"):
            read_all(b"\1" + len(wrong).to_bytes(4, "big") + wrong, [], encoding)


@given(st.lists(st.binary(max_size=20), max_size=3), st.binary(max_size=20), st.data())
def test_a_request_that_ends_within_a_message_is_refused(whole: list[bytes], last: bytes, draw):
    """Wherever in it; what was whole before is read."""
    framed = frame(last)
    cut = draw.draw(st.integers(1, len(framed) - 1))
    reader = FrameReader(Frames(LIMIT, "identity"))
    reader.feed(b"".join(map(frame, whole)) + framed[:cut])
    assert [reader.next() for _ in whole] == whole
    assert reader.next() is None
    with pytest.raises(MalformedCall, match="ended before its last message was whole"):
        reader.end()


def test_many_small_messages_in_one_piece_are_read_without_copying_the_rest():
    """Fifty thousand empty ones: a copy of what is left for each would be six gigabytes."""
    count = 50_000
    reader = FrameReader(Frames(LIMIT, "identity"))
    reader.feed(frame(b"") * count)
    copied = 0
    tracemalloc.start()
    for _ in range(count):
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        assert reader.next() == b""
        copied = max(copied, tracemalloc.get_traced_memory()[1] - before)
        if copied > 10_000:
            break
    tracemalloc.stop()
    assert copied < 10_000
    reader.end()
