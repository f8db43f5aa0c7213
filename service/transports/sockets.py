"""Ports of one process, and ports that several processes share."""

import ipaddress
import socket
from collections.abc import Iterator
from contextlib import contextmanager


class ListenError(Exception):
    """The server cannot listen on an address; the message says why in one sentence."""


def probe(host: str, port: int, flag: str) -> None:
    """Raise `ListenError` if a server could not listen on an address; the server itself would give no reason.

    The error names `flag`, the flag of the port.
    """
    listen(host, port, flag).close()


def listen(host: str, port: int, flag: str, *, shared: bool = False) -> socket.socket:
    """A non-blocking socket that listens, on a free port for 0.

    With `shared` other processes may listen on the same port, if they set SO_REUSEPORT too. Raises `ListenError`,
    which names `flag`.
    """
    with _named_errors(host, port, flag):
        listener = _bound(host, port, shared=shared)
        try:
            listener.listen(1)  # fails now if the port is taken; the server sets a longer queue
        except OSError:
            listener.close()
            raise
    listener.setblocking(False)
    return listener


def hold(host: str, port: int, flag: str) -> socket.socket:
    """Reserve a port, a free one for 0, for processes that will listen on it with SO_REUSEPORT.

    The returned socket is bound and does not listen, so it gets no connection. It is bound without SO_REUSEPORT,
    which is set afterwards: if two holders set it from the start, both would succeed. Raises `ListenError`, which
    names `flag`.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ListenError("several workers need SO_REUSEPORT, which this system does not have")
    probe(host, port, flag)
    with _named_errors(host, port, flag):
        held = _bound(host, port)
    # With SO_REUSEADDR on both sockets Linux would let others bind as long as no socket listens.
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    return held


def page_address(host: str, http_port: int | None, *, tls: bool) -> str | None:
    """URL of the page for a browser on this machine; None without an HTTP port."""
    if http_port is None:
        return None
    return f"{'https' if tls else 'http'}://{reached(host, http_port)}/"


def reached(host: str, port: int) -> str:
    """HOST:PORT by which this machine reaches a server; `localhost` if the server listens on all addresses."""
    host = bare(host)
    try:
        numeric = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0][4][0]
    except OSError:  # a name
        return f"{host}:{port}"
    if ipaddress.ip_address(numeric).is_unspecified:
        host = "localhost"
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bare(host: str) -> str:
    """The host without the brackets of an IPv6 address in a URL."""
    return host.removeprefix("[").removesuffix("]")


def resolved(host: str) -> str:
    """The numeric address to listen on for a host."""
    return str(socket.getaddrinfo(bare(host), 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][4][0])


def _bound(host: str, port: int, *, shared: bool = False) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        bare(host), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # connections in TIME_WAIT do not block the port
        if shared:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


@contextmanager
def _named_errors(host: str, port: int, flag: str) -> Iterator[None]:
    place = f"{bare(host)}:{port} ({flag})"
    try:
        yield
    except OSError as error:
        raise ListenError(f"cannot listen on {place}: {error.strerror}") from None
    except UnicodeError:
        raise ListenError(f"cannot listen on {place}: it is not a host name") from None
