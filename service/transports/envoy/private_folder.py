"""The folder that an Envoy runs in, with its socket and its secrets."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_PREFIX = "digits-envoy-"
# Paths of Unix sockets end after 107 characters.
_LONGEST = 100
_LOCK = "lock"


class PrivateFolder:
    """A folder that only this user can enter. It is removed with this object.

    Those of servers that were killed are left behind with the secrets in them: the next server of this user removes
    them. They have a file that is locked while the server lives.
    """

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        if len(parent) > _LONGEST - len(_PREFIX) - 10:
            parent = "/tmp"  # noqa: S108 — the folder below it is made by mkdtemp
        for left in Path(parent).glob(f"{_PREFIX}*"):
            _remove_unless_locked(left)
        while not self._locked(parent):
            os.close(self._lock)  # another server took it for one left behind, between two lines of this one

    def _locked(self, parent: str) -> bool:
        """Make the folder and lock it; False if it was removed before it was locked."""
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        self._lock = os.open(self.path / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        return self.path.exists()

    def __del__(self) -> None:
        if hasattr(self, "_lock"):
            os.close(self._lock)


def _remove_unless_locked(folder: Path) -> None:
    with suppress(OSError):  # it is no server's, or another user's, or locked, or gone
        opened = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(opened).st_uid == os.getuid():
                shutil.rmtree(folder)
        finally:
            os.close(opened)
