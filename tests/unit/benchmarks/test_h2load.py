"""What h2load printed is read rightly, and errors are not taken for answers."""

import pytest

from benchmarks.load.h2load import FailedCallsError, durations, parse

PRINTED = """\
starting benchmark...
Application protocol: h2c
progress: 100% done

finished in 166.71ms, 5998.28 req/s, 1.56MB/s
requests: 1000 total, 1000 started, 1000 done, 1000 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 1000 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 266.98KB (273384) total, 23.63KB (24194) headers (space savings 91.68%), 110.35KB (113000) data
                     min         max         mean         sd        +/- sd
time for request:      309us     40.15ms     10.62ms      5.77ms    71.00%
"""


def test_the_rate_is_the_one_printed():
    """Calls a second, when every call brought a whole answer."""
    assert parse(PRINTED, calls=1000, least_bytes=113) == 5998.28


def test_calls_that_did_not_come_back_are_an_error():
    """h2load counts them, and goes on."""
    with pytest.raises(FailedCallsError, match="not every call"):
        parse(PRINTED.replace("1000 succeeded", "998 succeeded"), calls=1000, least_bytes=113)


def test_answers_without_a_message_are_an_error():
    """A gRPC error has the HTTP status 200, which h2load takes for success; but it carries no bytes."""
    with pytest.raises(FailedCallsError, match="about 3% of the calls failed"):
        parse(PRINTED.replace("(113000) data", "(109610) data"), calls=1000, least_bytes=113)


def test_output_that_is_none_is_an_error():
    """Such as that of an h2load which could not connect."""
    with pytest.raises(FailedCallsError):
        parse("unable to connect", calls=1, least_bytes=1)


def test_durations_are_the_third_column():
    """Start in microseconds, HTTP status, duration in microseconds."""
    log = b"1700000000000001\t200\t309\n1700000000000500\t200\t1042\n"
    assert durations(log).tolist() == [309, 1042]
    assert durations(b"").tolist() == []
