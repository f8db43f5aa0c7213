"""What is taken of the identifiers that a client sends."""

import pytest

from service.telemetry.call_ids import read_ids

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("sent", ["a", "A.b_c:d/e+f=g@h-1", "x" * 128, b"bytes"])
def test_a_request_id_is_kept(sent: str | bytes):
    """Up to 128 characters that need no escape anywhere."""
    assert read_ids(sent, None, None).request_id == (sent if isinstance(sent, str) else sent.decode())


@pytest.mark.parametrize(
    "sent", [None, "", "x" * 129, "two words", "a\nb", 'quote"', "ü", "{json}", "\x1b[31m", b"\xff"]
)
def test_another_request_id_is_replaced(sent: str | bytes | None):
    """By 32 hexadecimal digits, new for each call."""
    first, second = (read_ids(sent, None, None).request_id for _ in range(2))
    assert first != second
    assert {len(first), len(second)} == {32}
    assert int(first, 16) >= 0


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (f"00-{TRACE}", f"00-{TRACE}"),
        (f"cc-{TRACE}-what-the-future-brings", f"00-{TRACE}"),
        (f"ff-{TRACE}", ""),
        (f"00-{TRACE}x", ""),
        (f"00-{TRACE.upper()}", ""),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", ""),
        (f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01", ""),
        (f"cc-{TRACE}-{'x' * 201}", ""),
        ("", ""),
    ],
)
def test_a_trace_is_taken_as_w3c_has_it(sent: str, kept: str):
    """A later version without what it adds; nothing of an invalid one, nor the state that came with it."""
    assert read_ids("a", sent, "vendor=1")[1:] == ((kept, "vendor=1") if kept else ("", ""))


@pytest.mark.parametrize("state", [None, "", "x" * 513, "a=\nb", "ü=1"])
def test_a_state_that_is_too_long_or_odd_is_left_out(state: str | None):
    """The rest of the trace is not."""
    assert read_ids("a", f"00-{TRACE}", state) == ("a", f"00-{TRACE}", "")
