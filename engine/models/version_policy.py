"""Which versions of a model are served: `models/<name>/policy.json`.

`{"versions": "all"}`, the default without a file; `{"versions": "newest"}`, the newest that passes its checks;
or a list, `{"versions": [1, 3]}`.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from artifact.card import MAX_VERSION

FILE = "policy.json"
MAX_BYTES = 65_536


class PolicyError(ValueError):
    """A policy.json is malformed; the message names it and says what was expected."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Which versions of one model are served."""

    versions: Literal["all", "newest"] | frozenset[int] = "all"

    def wants(self, version: int) -> bool:
        """Whether a version may be served; of these `newest` serves the first that passes its checks."""
        return not isinstance(self.versions, frozenset) or version in self.versions


def read_policy(model: Path) -> Policy:
    """The policy of the model in the folder `models/<name>`. Raises `PolicyError`."""
    path = model / FILE
    try:
        if not path.is_file():
            if path.exists():
                raise PolicyError(f"{path} cannot be read: it is no file")
            return Policy()
        if path.stat().st_size > MAX_BYTES:
            raise PolicyError(f"{path} cannot be read: it has more than {MAX_BYTES} bytes")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise PolicyError(f"{path} cannot be read: {error}") from None
    versions = content.get("versions") if isinstance(content, dict) else None
    if versions in ("all", "newest"):
        return Policy(versions)
    whole = isinstance(versions, list) and all(
        type(number) is int and 1 <= number <= MAX_VERSION for number in versions
    )
    if not whole or not versions:
        raise PolicyError(
            f'{path}: expected {{"versions": "all"}}, "newest", or a list of versions, got {str(content)[:100]}'
        )
    return Policy(frozenset(versions))
