"""What the fast paths remember: how to answer a request like the one before, and what was encoded for a batch."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from weakref import ref

from engine.models.repository import Repository
from engine.models.session import InferenceResult
from engine.models.version import Version

# Bytes of a request without its pixels, and how many such are remembered. Well-meaning clients send few and short ones.
MAX_TEMPLATE_BYTES = 1024
MAX_TEMPLATES = 1024

Template = TypeVar("Template")
Encoded = TypeVar("Encoded")
Names = tuple[str, str]
"""Model and version as a request names them; either may be empty."""


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Template]):
    names: Names
    version: ref[Version]
    template: Template


class TemplateCache(Generic[Template]):
    """Templates by the bytes of a request without its pixels. Each belongs to the version that the request finds.

    It does not keep a version alive: a template of an unloaded version is read again when its request comes again.
    """

    def __init__(
        self,
        repository: Repository,
        read_names: Callable[[bytes], Names | None],
        read_template: Callable[[bytes, Version], Template | None],
    ) -> None:
        """Both functions take the bytes of a request without its pixels; None: it is not for the fast path."""
        self._repository = repository
        self._read_names = read_names
        self._read_template = read_template
        self._entries: dict[bytes, _Entry[Template]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: bytes) -> tuple[Version, Template] | None:
        """The version that answers such a request, and its template; None: it is not for the fast path."""
        entry = self._entries.get(key)
        if entry is not None:
            version = self._repository.route(*entry.names)
            if version is not None and version is entry.version():
                return version, entry.template
        return self._read(key)

    def _read(self, key: bytes) -> tuple[Version, Template] | None:
        names = self._read_names(key)
        version = None if names is None else self._repository.route(*names)
        if names is None or version is None:
            return None
        template = self._read_template(key, version)
        if template is None:
            return None
        if len(self._entries) >= MAX_TEMPLATES:
            self._entries.clear()
        self._entries[key] = _Entry(names, ref(version), template)
        return version, template

    def clear(self) -> None:
        """Forget all templates."""
        self._entries.clear()


class BatchCache(Generic[Encoded]):
    """What was encoded for all rows of a batch, for each of its callers to cut its own rows out of.

    The batcher encodes the answers of one batch in one go, so the last batch is all there is to remember.
    """

    def __init__(self) -> None:
        self._batch: ref[InferenceResult] | None = None
        self._encoded: dict[str, Encoded] = {}

    def of(self, batch: InferenceResult) -> dict[str, Encoded]:
        """The encoded parts of `batch` by name; empty for a batch that is new."""
        if self._batch is None or self._batch() is not batch:
            self._batch = ref(batch)
            self._encoded = {}
        return self._encoded
