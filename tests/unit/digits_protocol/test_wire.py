"""The wire format as far as it is read by hand, held against protobuf itself."""

from digits_protocol.inference import open_inference_pb2 as pb
from digits_protocol.wire import length_delimited, split_message, tag, varint
from hypothesis import given
from hypothesis import strategies as st

RAW, ID = tag(7), tag(3)

requests = st.builds(
    pb.ModelInferRequest,
    model_name=st.text(max_size=300),
    model_version=st.text(max_size=5),
    id=st.text(max_size=200),
    outputs=st.lists(st.builds(pb.ModelInferRequest.InferRequestedOutputTensor, name=st.text(max_size=9)), max_size=3),
    raw_input_contents=st.lists(st.binary(min_size=1, max_size=20_000), max_size=1),
)


@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_protobufs(value: int):
    """Written as protobuf writes it."""
    assert pb.InferParameter(uint64_param=value).SerializeToString() == b"\x28" + varint(value)


@given(st.binary(max_size=400))
def test_a_length_delimited_field_is_protobufs(value: bytes):
    """Tag, length, bytes."""
    written = length_delimited(7, value)
    assert list(pb.ModelInferRequest.FromString(written).raw_input_contents) == [value]


@given(requests, st.binary(max_size=9))
def test_the_parts_of_a_message_are_where_they_are_found(request: pb.ModelInferRequest, before: bytes):
    """The head without its id, the id, and the last field's bytes make the message again."""
    data = before + request.SerializeToString()
    spans = split_message(data, len(before), RAW, aside=ID)
    assert spans is not None
    head = data[len(before) : spans.head]
    if spans.stop:
        head = data[len(before) : spans.begin] + data[spans.stop : spans.head]
        assert pb.ModelInferRequest.FromString(data[spans.begin : spans.stop]) == pb.ModelInferRequest(id=request.id)
    read = pb.ModelInferRequest.FromString(head)
    assert read.id == ""
    assert (spans.stop > 0) == bool(request.id)
    read.id = request.id
    if request.raw_input_contents:
        read.raw_input_contents.append(data[spans.body :])
    else:
        assert spans.body == len(data)
    assert read == request


@given(requests, st.data())
def test_a_message_that_was_cut_or_changed_is_never_read_as_another(request: pb.ModelInferRequest, draw: st.DataObject):
    """What is found in mutated bytes is what protobuf finds there, or nothing."""
    data = bytearray(request.SerializeToString())
    for _ in range(draw.draw(st.integers(1, 3))):
        if data:
            data[draw.draw(st.integers(0, min(len(data), 60) - 1))] = draw.draw(st.integers(0, 255))
    whole = bytes(data[: draw.draw(st.integers(0, len(data)))])
    spans = split_message(whole, 0, RAW, aside=ID)
    if spans is None:
        return
    try:
        read = pb.ModelInferRequest.FromString(whole)
    except Exception:
        return  # the head is given to protobuf, which refuses it again
    assert list(read.raw_input_contents) == ([whole[spans.body :]] if spans.head < len(whole) else [])


def test_fields_of_other_kinds_are_left_to_protobuf():
    """A number, a group, a field number of two bytes, a field after the last one, the same field twice."""
    assert split_message(b"\x28\x01", 0, tag(3)) is None
    assert split_message(b"\x0b\x0c", 0, tag(3)) is None
    assert split_message(b"\x82\x01\x00", 0, tag(3)) is None
    assert split_message(b"\x00\x00", 0, tag(3)) is None
    assert split_message(length_delimited(3, b"a") + length_delimited(1, b"b"), 0, tag(3)) is None
    assert split_message(length_delimited(3, b"a") * 2, 0, tag(3)) is None
    assert split_message(length_delimited(3, b""), 0, tag(3)) is None
    assert split_message(b"\x1a\x81\x80\x80\x80\x80\x00a", 0, tag(3)) is None
    assert split_message(b"\x1a\x81\x80\x80\x80\x00a", 0, tag(3)) is not None
    assert split_message(length_delimited(2, b"a") * 2, 0, tag(3), aside=tag(2)) is None
    assert split_message(b"\x0a" + b"\xff" * 12, 0, tag(3)) is None


def test_an_endless_length_is_given_up_early():
    """Megabytes of 0xff would otherwise make a number of as many bits."""
    assert split_message(b"\x0a" + b"\xff" * 5 + b"\0", 0, tag(3)) is None
    assert split_message(b"\xff" * 16_000_000, 0, tag(3)) is None
