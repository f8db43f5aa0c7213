"""Reading the files that an operator names, and nothing that only looks like one."""

import os
import stat
from pathlib import Path

_NO_WAIT = getattr(os, "O_NONBLOCK", 0)


def read_regular(path: Path) -> bytes:
    """What is in a regular file; reading a pipe would wait for whoever writes into it. Raises `OSError`."""
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | _NO_WAIT)) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise OSError(0, "it is no regular file")
        return file.read()
