"""The address of a server, and how a client reaches it: with or without TLS, directly or by a proxy."""

import ipaddress
import os
import socket
from typing import Any
from urllib.parse import urlsplit

import grpc

# Schemes of addresses that gRPC accepts beside HOST:PORT.
_SCHEMES = ("dns", "unix", "unix-abstract", "ipv4", "ipv6", "xds")
_SOCKETS = ("unix", "unix-abstract")

# Names of this machine in common hosts files, beside those that end in .localhost (RFC 6761).
_OWN_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback")

# The variables in which gRPC looks for a proxy and for exempt hosts; the first one that is set counts.
_PROXIES = ("grpc_proxy", "https_proxy", "http_proxy")
_EXEMPT = ("no_grpc_proxy", "no_proxy")

_DIRECT: tuple[tuple[str, Any], ...] = (
    ("grpc.enable_http_proxy", 0),
    # The option above does not disable GRPC_ADDRESS_HTTP_PROXY.
    ("grpc.address_http_proxy_enabled_addresses", ""),
)


class Endpoint:
    """The address of a server with its options; `str` is its name in error sentences."""

    def __init__(self, target: str, credentials: grpc.ChannelCredentials | None = None, server_name: str = "") -> None:
        """Without `credentials` connections do not use TLS. The server's certificate must carry `server_name`, or if
        that is empty the host of `target`.

        Raises `TypeError` or `ValueError` for an invalid option.
        """
        check_target(target)
        if credentials is not None and not isinstance(credentials, grpc.ChannelCredentials):
            raise TypeError(f"credentials is a {type(credentials).__name__}, expected grpc.ChannelCredentials")
        if not isinstance(server_name, str):
            raise TypeError(f"server_name is {server_name!r}, expected text")
        self.target = target
        self._credentials = credentials
        self._server_name = server_name
        self._place = target
        self._direct = True
        if variable := proxy_variable(target):
            proxy = urlsplit(os.environ[variable]).netloc.rpartition("@")[2]  # without its password
            self._place += f" through the proxy {proxy} ({variable}; no_proxy exempts hosts)"
            self._direct = False

    def __str__(self) -> str:
        return self._place

    def open(self, library: Any, options: tuple[tuple[str, Any], ...]) -> Any:
        """A new channel of `library`, which is `grpc` or `grpc.aio`."""
        if self._server_name:
            options += (("grpc.ssl_target_name_override", self._server_name),)
        if self._direct:
            options += _DIRECT
        if self._credentials is None:
            return library.insecure_channel(self.target, options)
        return library.secure_channel(self.target, self._credentials, options)


def proxy_variable(target: str) -> str:
    """The variable that names the proxy for `target`; empty if gRPC connects directly.

    The rules are gRPC's, with one more: connections to this machine use no proxy.
    """
    hosts = _hosts(target)
    variable = next((name for name in _PROXIES if name in os.environ), "")
    if not variable or all(_is_own(host) for host in hosts):
        return ""
    try:
        proxy = urlsplit(os.environ[variable])
    except ValueError:
        return ""
    if proxy.scheme != "http" or not proxy.netloc:
        return ""
    exempt = next((os.environ[name] for name in _EXEMPT if name in os.environ), "")
    return "" if any(_is_exempt(hosts[0], entry.strip()) for entry in exempt.split(",")) else variable


def _hosts(target: str) -> list[str]:
    """The hosts in an address; none for a Unix socket."""
    scheme, colon, rest = target.partition(":")
    if not colon or scheme not in _SCHEMES:
        return [_host(target)]
    if scheme in _SOCKETS:
        return []
    if rest.startswith("//"):  # the authority, a name server or nothing
        rest = rest[2:].partition("/")[2]
    return [_host(each) for each in rest.split(",")]


def _host(address: str) -> str:
    """The host of HOST, HOST:PORT, [IPV6], [IPV6]:PORT or a bare IPV6."""
    if address.startswith("["):
        return address[1:].partition("]")[0]
    return address if address.count(":") > 1 else address.partition(":")[0]


def _ip(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """`host` as an IP address, also in short forms such as 127.1; None if it is a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        try:
            return ipaddress.IPv4Address(socket.inet_aton(host))
        except OSError:
            return None
    return (address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None) or address


def _is_own(host: str) -> bool:
    """Whether it is this machine: a name or address of loopback, the unspecified address, or one of an interface."""
    name = host.lower().rstrip(".")
    address = _ip(host)
    if address is None:
        return name in (*_OWN_NAMES, socket.gethostname().lower()) or name.endswith(".localhost")
    return address.is_loopback or address.is_unspecified or _is_assigned(str(address))


def _is_assigned(address: str) -> bool:
    """Whether a network interface of this machine has that IP address."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        try:
            probe.bind((address, 0))
        except OSError:
            return False
    return True


def _is_exempt(host: str, entry: str) -> bool:
    """Whether an entry of no_proxy, a suffix of names or a network, matches `host`."""
    address = _ip(host)
    if address is not None and "/" in entry:
        try:
            return address in ipaddress.ip_network(entry, strict=False)
        except ValueError:
            return False
    return entry == "*" or (entry != "" and host.lower().endswith(entry.lower()))


def check_target(target: Any) -> None:
    """Raises `TypeError` or `ValueError` for an address that gRPC cannot parse or would not find."""
    if not isinstance(target, str):
        raise TypeError(f"the server's address is {target!r}, expected text like localhost:8001")
    scheme, colon, rest = target.partition(":")
    if scheme in _SCHEMES and colon:
        known = bool(rest.strip("/"))
        if scheme in ("ipv4", "ipv6"):
            known = all(_is_address(each, int(scheme[-1])) for each in rest.split(","))
        elif scheme == "dns":  # dns:HOST:PORT or dns://SERVER/HOST:PORT
            known = _is_host_and_port(rest[2:].partition("/")[2] if rest.startswith("//") else rest)
    else:
        known = _is_host_and_port(target)
    if not known:
        raise ValueError(f"the server's address is {target!r}, expected HOST:PORT, e.g. localhost:8001")


def _is_host_and_port(target: str) -> bool:
    """HOST, HOST:PORT, [IPV6], [IPV6]:PORT or a bare IPV6."""
    if not target.isprintable() or set(target) & set(" /\\?#@,") or target.count(":") > 1:
        return _is_address(target, 6)
    host, colon, port = target.partition(":")
    return bool(host) and not set(host) & set("[]") and (not colon or _is_port(port))


def _is_address(target: str, version: int) -> bool:
    """Whether it is an IP address of that version, with or without a port."""
    host, port = target, "1"
    if version == 4:
        host, colon, port = target.partition(":")
        port = port if colon else "1"
    elif target.startswith("["):
        host, bracket, port = target[1:].partition("]")
        if not bracket or (port and not port.startswith(":")):
            return False
        port = port[1:] if port else "1"
    try:
        return ipaddress.ip_address(host).version == version and _is_port(port)
    except ValueError:
        return False


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536
