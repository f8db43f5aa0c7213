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


class PrivateFolder:
    """A folder that only this user can enter. It is removed with this object.

    Those of servers that were killed are left behind with the secrets in them: the next server of this user removes
    them. A folder is locked while its server lives.
    """

    def __init__(self) -> None:
        parent = tempfile.gettempdir()
        if len(parent) > _LONGEST - len(_PREFIX) - 10:
            parent = "/tmp"  # noqa: S108 — the folder below it is made by mkdtemp
        for left in Path(parent).glob(f"{_PREFIX}*"):
            _remove_unless_locked(left)
        while not self._locked(parent):
            pass  # another server took it for one left behind, between two lines of this one

    def _locked(self, parent: str) -> bool:
        """Make the folder and lock it; False if it was removed before it was locked."""
        self._folder = tempfile.TemporaryDirectory(prefix=_PREFIX, dir=parent, ignore_cleanup_errors=True)
        self.path = Path(self._folder.name)
        try:
            self._lock = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            return False
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        if self.path.exists():
            return True
        os.close(self._lock)
        return False

    def __del__(self) -> None:
        os.close(self._lock)


def _remove_unless_locked(folder: Path) -> None:
    with suppress(OSError):  # it is another user's, or locked, or gone
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(opened).st_uid == os.getuid():
                shutil.rmtree(folder)
        finally:
            os.close(opened)
