"""What the two wheels carry: the service with its page and the small models, and the client alone."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.server import MODELS, ROOT, SMALL

ROOMS = {"artifact", "cli", "engine", "imaging", "models", "scoring", "service", "training"}


def build_wheel(folder: Path, project: str) -> set[str]:
    """The names of the files in the wheel of `project`, without its metadata.

    It is built from a copy: a build in place leaves a folder behind, and later builds take old files from there.
    """
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT / project, folder / "source", ignore=ignored)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*command, "--wheel-dir", folder, folder / "source"], check=True)
    [wheel] = folder.glob("*.whl")
    return {name for name in zipfile.ZipFile(wheel).namelist() if not name.partition("/")[0].endswith(".dist-info")}


def paths(*folders: str, pattern: str = "*") -> set[str]:
    """Files of the repository that match, relative to it; none that `pip wheel` left behind."""
    found = {
        path.relative_to(ROOT)
        for folder in folders
        for path in (ROOT / folder).rglob(pattern)
        if path.is_file() and "build" not in path.relative_to(ROOT).parts
    }
    return {path.as_posix() for path in found}


def test_the_service_has_its_rooms_its_page_and_the_small_models(tmp_path: Path):
    """Every module of each room and no tests; the small models with all that serving needs, and no others."""
    names = build_wheel(tmp_path, ".")
    assert {name.partition("/")[0] for name in names} == ROOMS
    assert {name for name in names if name.endswith(".py")} == paths(*ROOMS, pattern="*.py")
    assert {name for name in names if name.startswith("service/web/")} == paths("service/web")
    assert {name for name in names if name.startswith("models/")} == {
        f"models/{name}/{version.name}/{file}"
        for name in (*SMALL, "mnist-256x128")
        for version in (MODELS / name).iterdir()
        for file in ("card.json", "golden.npz", "model.onnx", "snapshots.npz")
        if file != "snapshots.npz" or (version / file).exists()
    }


def test_the_client_has_its_two_packages_alone(tmp_path: Path):
    """With their types and the descriptors of the Open Inference Protocol."""
    names = build_wheel(tmp_path, "client")
    assert {name.partition("/")[0] for name in names} == {"digits_client", "digits_protocol"}
    wanted = {name for pattern in ("*.py", "*.pyi", "py.typed", "*.binpb") for name in paths("client", pattern=pattern)}
    assert names == {name.removeprefix("client/") for name in wanted}
