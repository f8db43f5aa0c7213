"""The folder that an Envoy runs in."""

import fcntl
import gc
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from service.transports.envoy.private_folder import PrivateFolder
from tests.support.processes import ROOT

_SERVER = """
from service.transports.envoy.private_folder import PrivateFolder
folder = PrivateFolder()
(folder.path / "server.json").write_text("a key")
print(folder.path, flush=True)
input()
"""


@pytest.fixture(autouse=True)
def parent(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def server(parent: Path) -> tuple[subprocess.Popen, Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        cwd=ROOT,
        env=os.environ | {"TMPDIR": str(parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def test_it_is_this_user_s_alone_and_gone_at_the_end(parent):
    """Two of one process are two."""
    folder, other = PrivateFolder(), PrivateFolder()
    assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700
    assert set(parent.iterdir()) == {folder.path, other.path}
    del folder, other
    assert list(parent.iterdir()) == []


def test_that_of_a_killed_server_is_removed_by_the_next_one(parent):
    """And that of a living one stays."""
    living, left = server(parent), server(parent)
    left[0].kill()
    left[0].communicate()
    assert (left[1] / "server.json").exists()
    folder = PrivateFolder()
    assert set(parent.iterdir()) == {living[1], folder.path}
    assert (living[1] / "server.json").read_text() == "a key"
    living[0].communicate("\n")
    assert living[0].returncode == 0
    assert not living[1].exists()


def test_one_that_is_removed_before_it_is_locked_is_made_again(monkeypatch):
    """By a server that starts at the same time."""
    made, lock = [], fcntl.flock

    def removed_first(opened: int, how: int) -> None:
        made.append(os.readlink(f"/proc/self/fd/{opened}"))
        if len(made) == 1:
            shutil.rmtree(Path(made[0]).parent)
        lock(opened, how)

    monkeypatch.setattr(fcntl, "flock", removed_first)
    folder = PrivateFolder()
    assert [str(folder.path / "lock")] == made[1:]
    assert folder.path.is_dir()


def test_other_things_of_that_name_stay(parent):
    """A link, which another user may have made, a file, and a folder that no server made."""
    (parent / "elsewhere").mkdir()
    (parent / "elsewhere" / "lock").touch()
    (parent / "digits-envoy-notes").mkdir()
    (parent / "digits-envoy-notes" / "thesis.txt").touch()
    (parent / "digits-envoy-odd").mkdir()
    (parent / "digits-envoy-odd" / "lock").symlink_to(parent / "elsewhere" / "lock")
    (parent / "digits-envoy-link").symlink_to(parent / "elsewhere")
    (parent / "digits-envoy-file").touch()
    folder = PrivateFolder()
    assert {path.name for path in parent.iterdir()} == {
        "elsewhere",
        "digits-envoy-notes",
        "digits-envoy-odd",
        "digits-envoy-link",
        "digits-envoy-file",
        folder.path.name,
    }
    assert (parent / "digits-envoy-notes" / "thesis.txt").exists()
    assert (parent / "elsewhere" / "lock").exists()


def test_its_path_has_room_for_a_socket(monkeypatch, tmp_path):
    """A long TMPDIR is passed over."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    folder = PrivateFolder()
    assert len(str(folder.path / "admin")) < 108
    assert folder.path.is_dir()


def test_one_that_cannot_be_made_leaves_no_other_error(monkeypatch, tmp_path):
    """The folder that it would be in is gone; what was made of it ends without a word."""
    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
        with pytest.raises(FileNotFoundError) as caught:
            PrivateFolder()
    del caught
    gc.collect()
    assert seen == []
