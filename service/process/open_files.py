"""File descriptors, of which each connection takes one."""

import sys

from service.telemetry.logs import log

# For all that is no connection.
OWN = 128
# What no system gives more of; "unlimited" is a number for it.
MOST = 2**20


def raise_limit() -> None:
    """Let this process, and those it will start, have as many as they may."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def connections_within(wanted: int, ports: int) -> int:
    """How many connections there is room for on each of so many ports; `wanted`, or fewer; far fewer, the log tells."""
    if sys.platform == "win32":
        return wanted
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = wanted if soft == resource.RLIM_INFINITY else max(1, (soft - OWN) // ports)
    if room < wanted // 2:
        log.warning("fewer connections than are allowed have room", max_connections=wanted, room=room, descriptors=soft)
    return min(wanted, room)
