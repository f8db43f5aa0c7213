"""What identifies a call: its request id, and its place in a trace (W3C Trace Context, https://www.w3.org/TR/trace-context)."""

import re
from random import getrandbits
from typing import NamedTuple

import structlog

REQUEST_ID, TRACEPARENT, TRACESTATE = "x-request-id", "traceparent", "tracestate"

# What is accepted from clients. All of it is ASCII that needs no escape in logs.
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}").fullmatch
# Later versions of the format may append fields, which are left out.
_TRACEPARENT = re.compile(
    r"(?!ff)[0-9a-f]{2}(-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2})(-.{0,200})?"
).fullmatch
_TRACESTATE = re.compile(r"[\x20-\x7e]{1,512}").fullmatch


class CallIds(NamedTuple):
    """The identifiers of one call."""

    request_id: str
    traceparent: str = ""
    """Empty without a trace."""
    tracestate: str = ""

    def headers(self) -> dict[str, str]:
        """What goes back to the client, as metadata or headers."""
        named = ((REQUEST_ID, self.request_id), (TRACEPARENT, self.traceparent), (TRACESTATE, self.tracestate))
        return {name: value for name, value in named if value}

    def fields(self) -> dict[str, str]:
        """The same for log lines."""
        return {name.removeprefix("x-").replace("-", "_"): value for name, value in self.headers().items()}

    def bind(self) -> None:
        """Let all further log lines of this task have them."""
        structlog.contextvars.bind_contextvars(**self.fields())


def read_ids(
    request_id: str | bytes | None, traceparent: str | bytes | None, tracestate: str | bytes | None
) -> CallIds:
    """The identifiers that a client sent. A request id that is missing, too long or odd is replaced by a new one; of a
    trace that is not as W3C has it nothing is taken.
    """
    if request_id is None or not _REQUEST_ID(sent := _text(request_id)):
        sent = f"{getrandbits(128):032x}"  # it is no secret
    if traceparent is None or not (trace := _TRACEPARENT(_text(traceparent))):
        return CallIds(sent)
    state = "" if tracestate is None else _text(tracestate).strip()
    return CallIds(sent, f"00{trace[1]}", state if _TRACESTATE(state) else "")


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")
