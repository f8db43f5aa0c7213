"""Authentication by bearer tokens (RFC 6750), roles, and a rate limit for each client."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from google.protobuf.message import Message

from engine.errors import NotAuthenticated, NotPermitted, RateExceeded
from service.api.method import Context, Kind, Method
from service.api.middleware.roles import HEALTH_PATHS, Role, named, read_roles, role_of
from service.config import Settings
from service.telemetry.logs import log
from service.watched_files import WatchedFiles, read_regular

MIN_TOKEN = 16
# Clients whose rate is remembered; beyond that, clients below their rate are forgotten.
MAX_CLIENTS = 10_000


class TokenError(Exception):
    """The file of tokens cannot be used; the message says why, and shows none."""


@dataclass(frozen=True, slots=True)
class Token:
    """One line of a file of tokens."""

    name: str
    """Of its owner."""
    secret: str = field(repr=False)
    roles: frozenset[Role]
    """What its owner may do."""


class Tokens:
    """The tokens of a file, read again when it changes; see `read_tokens`."""

    def __init__(self, path: Path) -> None:
        """Raises `TokenError`."""
        self._path = path
        self._file = WatchedFiles(path)
        self._known = self._read()
        if not self._known:
            raise TokenError(f"{path} holds no token")

    def find(self, authorization: str | bytes) -> Token | None:
        """The token in a header `authorization`; None for an unknown one."""
        if self._file.changed():
            self._read_again()
        scheme, _, token = authorization.partition(" ") if isinstance(authorization, str) else ("", "", "")
        digest = hashlib.sha256(token.strip().encode()).digest()
        found = None
        for known, each in self._known:  # all of them, whichever fits: the time taken tells nothing
            if hmac.compare_digest(known, digest):
                found = each
        return found if scheme.lower() == "bearer" else None

    def _read_again(self) -> None:
        try:
            self._known = self._read()
            log.info("tokens read again", tokens=len(self._known))  # none: all are revoked
        except TokenError as error:
            log.error("tokens stay as they were", reason=str(error))

    def _read(self) -> list[tuple[bytes, Token]]:
        return [(hashlib.sha256(token.secret.encode()).digest(), token) for token in read_tokens(self._path)]


def read_tokens(path: Path) -> list[Token]:
    """The token of each line of a file: `name:token`, or `name:token roles` with a list such as `classify,control`.

    Raises `TokenError`.
    """
    try:
        lines = read_regular(path).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise TokenError(f"{path} cannot be read: {reason}") from None
    found = []
    for number, line in enumerate(lines, 1):
        name, colon, rest = (part.strip() for part in line.partition(":"))
        if not line.strip() or line.startswith("#"):
            continue
        secret, roles = (*rest.split(maxsplit=1), "", "")[:2]
        if not (name and colon and len(secret) >= MIN_TOKEN and secret.isascii() and secret.isprintable()):
            raise TokenError(
                f"{path}, line {number}: expected name:token, the token of {MIN_TOKEN} or more "
                "printable ASCII characters without a blank"
            )
        try:
            found.append(Token(name, secret, read_roles(roles)))
        except ValueError:  # what stands there may be a part of a token, so it is not repeated
            raise TokenError(
                f"{path}, line {number}: what follows the token is no list of roles, "
                f"expected some of {', '.join(role.value for role in Role)}, with commas between"
            ) from None
    return found


class Rates:
    """A limit of calls a second for each client; bursts may hold one second's worth."""

    def __init__(self, per_second: float) -> None:
        self._per_second = per_second
        self._until: dict[str, float] = {}  # up to when a client has used up its rate

    def take(self, client: str) -> None:
        """Count a call. Raises `RateExceeded`."""
        now = time.monotonic()
        until = max(self._until.get(client, 0.0), now) + 1 / self._per_second
        early = until - now - max(1.0, 1 / self._per_second)
        if early > 1e-9:
            raise RateExceeded(
                f"this client makes more than the {self._per_second:g} calls a second it may make here", early
            )
        self._until[client] = until
        if len(self._until) > MAX_CLIENTS:
            self._until = {name: end for name, end in self._until.items() if end > now}


class Guard:
    """The checks that a call passes before its handler is entered."""

    def __init__(self, tokens: Tokens | None = None, rates: Rates | None = None, public_paths: tuple[str, ...] = ()):
        """Paths with one of the prefixes `public_paths` need no token and are not rate-limited."""
        self._tokens = tokens
        self._rates = rates
        self._public_paths = public_paths

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings say. Raises `TokenError`."""
        return cls(
            Tokens(Path(settings.token_file)) if settings.token_file else None,
            Rates(settings.client_rate) if settings.client_rate else None,
            (HEALTH_PATHS if settings.open_health else ())
            + (("/grpc.reflection.",) if settings.open_reflection else ()),
        )

    @property
    def requires_token(self) -> bool:
        """Whether callers must send a token."""
        return self._tokens is not None

    @property
    def is_noop(self) -> bool:
        """Whether every call passes."""
        return self._tokens is None and self._rates is None

    def is_public(self, path: str) -> bool:
        """Whether the path needs no token and has no rate limit."""
        return path.startswith(self._public_paths)

    def identify(self, role: Role | None, context: Context) -> None:
        """Verify once the token of a call that needs `role`. Raises `NotAuthenticated` and `NotPermitted`."""
        if self._tokens is None or context.identity is not None:
            return
        token = self._tokens.find(context.metadata.get("authorization", ""))
        if token is None:
            raise NotAuthenticated("authorization: expected `Bearer` and a token that this server knows")
        if role is not None and role not in token.roles:
            if context.record is not None:
                context.record.refused = token.name
            raise NotPermitted(f"the call needs the role {role.value}, and this token has {named(token.roles)}")
        context.identity = token.name

    def count(self, context: Context) -> None:
        """Count a call, or a message of a stream, against its client's rate. Raises `RateExceeded`."""
        if self._rates is not None:
            self._rates.take(context.identity or context.peer.rpartition(":")[0])

    def admit(self, path: str, context: Context) -> None:
        """Identify and count a call, once, unless its path is public.

        Raises `NotAuthenticated`, `NotPermitted` and `RateExceeded`.
        """
        if not context.admitted and not self.is_public(path):
            self.identify(role_of(path), context)
            self.count(context)
            context.admitted = True


def guard_method(method: Method, guard: Guard) -> Method:
    """The same method behind `guard`.

    A public method stays as it is; where others require a token, its calls count against a separate limit.
    """
    if guard.is_public(method.path):
        return replace(method, reserved=True) if guard.requires_token else method
    handler, fast_path, path = method.handler, method.fast_path, method.path
    role = role_of(path)

    async def answer(request: Any, context: Context) -> Message:
        guard.admit(path, context)
        response: Message = await handler(request, context)  # type: ignore[misc]
        return response

    def try_fast_path(data: bytes, start: int, context: Context) -> Any:
        guard.admit(path, context)
        return fast_path(data, start, context)  # type: ignore[misc]

    async def answers(requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Message]:
        guard.identify(role, context)

        async def counted() -> AsyncIterator[Any]:
            async for request in requests:
                guard.count(context)
                yield request

        async with aclosing(handler(counted(), context)) as responses:  # type: ignore[type-var]
            async for response in responses:  # type: ignore[union-attr]
                yield response

    identify = partial(guard.identify, role) if guard.requires_token else None
    if method.kind is Kind.STREAM:
        return replace(method, handler=answers, identify=identify)
    return replace(method, handler=answer, fast_path=None if fast_path is None else try_fast_path, identify=identify)
