"""Where a command has its answers from: a server, or the models in this process."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cli.errors import fail
from cli.server.options import client_options

if TYPE_CHECKING:
    from digits_client import Classifications, Listing, ModelCard, Network, Reading

# Bytes of a request beside its files: names, field numbers, lengths.
_REQUEST_OVERHEAD = 4096


class Source(Protocol):
    """A server or this process, as `DigitsClient` has it."""

    def models(self) -> "Listing": ...  # noqa: D102
    def model(self, name: str, version: str) -> "ModelCard": ...  # noqa: D102
    def network(self, name: str, version: str) -> "Network": ...  # noqa: D102
    def classify(  # noqa: D102
        self, images: list[bytes], *, activations: bool, coverage: float | None, reject_above: float | None
    ) -> "Classifications": ...
    def read(self, picture: bytes, *, reject_above: float | None) -> "Reading": ...  # noqa: D102


@contextmanager
def open_source(
    server: str | None,
    *,
    local: bool,
    models: Path | None,
    model: str,
    version: str,
    coverage: float | None,
    reject_above: float | None,
    **connection: Any,
) -> Iterator[tuple[Source, "Listing"]]:
    """The source for a model, empty names for the default, and its listing; `connection` is for `client_options`.

    Ends the command for options that do not go together or do not fit the model, and after an error of a call.
    """
    from digits_client import DigitsClient, DigitsError, Unavailable

    if local and server is not None:
        fail("--server and --local exclude each other", code=2)
    if models is not None and not local:
        fail("--models goes with --local; a server has models of its own", code=2)
    for flag, share in (("--coverage", coverage), ("--reject-above", reject_above)):
        if share is not None and not 0 < share < 1:
            fail(f"{flag} is {share:g}, expected more than 0 and less than 1", code=2)
    try:
        source: Any
        if local:
            from cli.in_process import LocalDigits

            source = LocalDigits(models, model=model, version=version)
        else:
            try:
                source = DigitsClient(model=model, version=version, **client_options(server, **connection))
            except ValueError as error:
                fail(str(error), code=2)
        with source:
            listing = source.models()
            listing.find(model, version)
            if coverage is not None or reject_above is not None:
                _check_card(source.model(model, version), coverage, reject_above)
            yield source, listing
    except Unavailable as error:
        fail(f"{error}; start one with `digits serve`, or use --local")
    except DigitsError as error:
        fail(str(error))


def _check_card(card: "ModelCard", coverage: float | None, reject_above: float | None) -> None:
    name = f"model {card.model.name} version {card.model.version}"
    if coverage is not None and not card.thresholds:
        fail(f"--coverage: {name} has no thresholds to rule out classes by")
    if reject_above is not None and not card.outlier_auc:
        fail(f"--reject-above: {name} cannot tell digits from other images")


def read_file(file: str, max_message_bytes: int) -> bytes | Exception:
    """The bytes of a file that one call can carry, or why there are none; `-` is standard input."""
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        return ValueError(error.strerror or str(error))
    most = room_for_files(max_message_bytes)
    if len(data) > most:
        return ValueError(f"has {len(data)} bytes, more than the {most} that one call may carry")
    return data


def room_for_files(max_message_bytes: int) -> int:
    """Bytes of all files of one call, at most."""
    return max_message_bytes - _REQUEST_OVERHEAD
