"""The files of a folder or an archive, and which of them are hidden: one rule for training and scoring."""

import os
from collections.abc import Iterator
from pathlib import Path

# What macOS, Windows and network storage put among other files for themselves; no dot stands before these.
_OF_SYSTEMS = frozenset(
    (
        *("__macosx", "temporary items", "network trash folder"),
        *("$recycle.bin", "system volume information", "thumbs.db", "ehthumbs.db", "desktop.ini"),
        *("@eadir", "@tmp", "@recycle", "@recently-snapshot", "#recycle", "#snapshot", "lost+found"),
    )
)
_OPEN_IN_OFFICE = "~$"


def is_hidden(path: str) -> bool:
    """Whether a file or a folder on the way to it is hidden: by a dot before its name, or as a system's own.

    `path` has `/` between its names and begins in what the user named: what that lies in does not count.
    """
    return any(
        (name.startswith((".", _OPEN_IN_OFFICE)) and name not in (".", "..")) or name.lower() in _OF_SYSTEMS
        for name in path.split("/")
    )


def walk(folder: Path) -> Iterator[str]:
    """All that is below `folder` and neither a folder nor hidden, as paths within it with `/`, in no order.

    Links are followed, but not back to a folder on the way. Raises `OSError`.
    """
    left: list[tuple[str, frozenset[tuple[int, int]]]] = [("", frozenset())]
    while left:
        below, way = left.pop()
        here = os.stat(folder / below)
        if (here.st_dev, here.st_ino) in way:
            continue
        way |= {(here.st_dev, here.st_ino)}
        with os.scandir(folder / below) as entries:
            for entry in entries:
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    left.append((f"{below}{entry.name}/", way))
                else:
                    yield f"{below}{entry.name}"
