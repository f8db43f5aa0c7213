"""Weights are mapped from files that are derived from a model, which stays what answers and what its SHA-256 names."""

import hashlib
import os
import time
from pathlib import Path

import numpy as np
import pytest

from artifact.store import VersionFolder
from engine.models import weights_cache
from engine.models.providers import CPU
from engine.models.session import Session, load_session
from engine.models.weights_cache import DIGEST, GRAPH, KEEP_SECONDS, WEIGHTS, WeightsCache, default_folder, processor
from tests.support.server import MODELS

FOLDER = VersionFolder(MODELS, "mnist-16x16", 3)
MODEL = FOLDER.read_onnx()
SHA256 = hashlib.sha256(MODEL).hexdigest()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Of a cache that takes small models too."""
    monkeypatch.setattr(weights_cache, "MIN_BYTES", 1)
    return tmp_path / "cache"


def loaded(cache: WeightsCache) -> Session:
    return load_session(FOLDER, [(CPU, {})], threads=1, cache=cache)


def mapped(folder: Path) -> bool:
    return str(folder) in Path("/proc/self/maps").read_text()


def test_a_mapped_model_answers_the_same_bits_under_the_name_of_its_file(folder):
    """It is derived once."""
    plain, pixels = load_session(FOLDER, [(CPU, {})], threads=1), FOLDER.read_golden().pixels
    sessions = [loaded(WeightsCache(folder)) for _ in range(2)]
    [entry] = [each for each in folder.iterdir() if each.is_dir()]
    assert mapped(entry / WEIGHTS)
    for session in sessions:
        assert (session.sha256, session.card) == (SHA256, plain.card)
        for rows in (1, 7, 64):
            ours, theirs = (each.run(pixels[:rows], hidden=True) for each in (session, plain))
            assert np.array_equal(ours.scores, theirs.scores)
            assert all(map(np.array_equal, ours.hidden, theirs.hidden))
    inode = (entry / GRAPH).stat().st_ino
    assert WeightsCache(folder).find(MODEL, SHA256) == entry / GRAPH
    assert (entry / GRAPH).stat().st_ino == inode


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:-9] + b"x" + raw[-8:]], ids=["cut", "byte"])
@pytest.mark.parametrize("name", [GRAPH, WEIGHTS, DIGEST])
def test_an_entry_that_has_changed_is_made_anew(folder, name, damage):
    """Even if a single byte is another."""
    cache = WeightsCache(folder)
    path = cache.find(MODEL, SHA256).with_name(name)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert loaded(cache).sha256 == SHA256
    assert path.read_bytes() == whole
    path.unlink()
    assert loaded(cache).sha256 == SHA256
    assert path.read_bytes() == whole


def test_an_entry_with_other_weights_is_refused_by_the_golden_rows(folder):
    """If it says of itself that it is whole."""
    cache = WeightsCache(folder)
    path = cache.find(MODEL, SHA256).with_name(WEIGHTS)
    weights = np.frombuffer(path.read_bytes(), np.float32)
    path.write_bytes((weights * np.float32(1.5)).tobytes())
    both = path.with_name(GRAPH).read_bytes() + path.read_bytes()
    path.with_name(DIGEST).write_text(hashlib.sha256(both).hexdigest())
    assert loaded(cache).sha256 == SHA256
    assert not path.exists()


def test_what_cannot_be_cached_is_loaded_as_ever(folder, monkeypatch):
    """A folder that others may write to, one that cannot be made, no folder at all, and a small model."""
    folder.mkdir()
    folder.chmod(0o777)
    (folder.parent / "file").touch()
    for cache in (WeightsCache(folder), WeightsCache(folder.parent / "file" / "cache"), WeightsCache(None)):
        assert cache.find(MODEL, SHA256) is None
        assert loaded(cache).sha256 == SHA256
    folder.chmod(0o700)
    monkeypatch.setattr(weights_cache, "MIN_BYTES", len(MODEL) + 1)
    assert WeightsCache(folder).find(MODEL, SHA256) is None
    assert not list(folder.iterdir())


def test_entries_that_no_server_opens_are_removed_when_another_is_made(folder):
    cache = WeightsCache(folder)
    old, recent = folder / "old", folder / "recent"
    for each, age in ((old, KEEP_SECONDS + 60), (recent, KEEP_SECONDS - 60)):
        each.mkdir(parents=True, mode=0o700)
        os.utime(each, (time.time() - age,) * 2)
    folder.chmod(0o700)
    found = cache.find(MODEL, SHA256)
    assert {each for each in folder.iterdir() if each.is_dir()} == {recent, found.parent}


def test_a_user_without_a_home_has_no_cache(monkeypatch):
    """As in a container whose user is a bare number."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 987_654)
    assert default_folder() is None


def test_an_entry_is_for_one_processor(tmp_path):
    """By what it can do, not by which of its cores was read."""
    names = []
    for flags in ("sse avx2", "sse avx2 avx512f"):
        (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: {flags}\nMHz : {time.time()}\n")
        names.append(processor(tmp_path / "cpuinfo"))
    assert len(set(names)) == 2
    assert processor(tmp_path / "missing") not in names
