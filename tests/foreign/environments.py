"""What foreign clients need: their pins and message registrations do not mix with ours, so each has its own."""

import fcntl
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.processes import ROOT, environment

SCRIPTS = Path(__file__).parent
GO_MODULE = "digits.test/go_client"
GO_TOOLS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.6",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.5.1",
)


TRITON = ("tritonclient[grpc,http]==2.73.0",)
KSERVE = ("kserve==0.21.0",)


def python_with(name: str, *packages: str) -> Path:
    """The Python of `.cache/venvs/<name>`, with exactly these `packages`; installed anew when they change."""
    venvs = ROOT / ".cache" / "venvs"
    venvs.mkdir(parents=True, exist_ok=True)
    python, installed = venvs / name / "bin" / "python", venvs / f"{name}.txt"
    with (venvs / f"{name}.lock").open("w") as lock:  # tests may run side by side
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_text() != "\n".join(packages):
            make_environment(venvs / name)
            uv_install(python, *packages)
            installed.write_text("\n".join(packages))
    return python


def make_environment(folder: Path) -> None:
    """An empty environment; what is installed there is so by the pip of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--clear", "--without-pip", folder], check=True)


def pip_install(python: Path, *arguments: object) -> None:
    """Without compiling what nobody will import, which takes longer than the rest."""
    command = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*command, "--no-compile", *arguments], check=True)


def uv_install(python: Path, *packages: str) -> None:
    """The same in a tenth of the time."""
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "pip", "install", "--quiet", "--no-cache", "--python", python, *packages], check=True)


def python_with_extras(extras: str) -> Path:
    """The Python of `.cache/venvs/<extras>`, with this project and these extras in the versions of the lock file."""
    venvs = ROOT / ".cache" / "venvs"
    venvs.mkdir(parents=True, exist_ok=True)
    python = venvs / extras / "bin" / "python"
    with (venvs / f"{extras}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not python.exists():
            make_environment(venvs / extras)
        # pip wants hashes for everything once a constraint has one, and a folder has none.
        pins = re.findall(r"^[a-z0-9._-]+==[^\\\n]+", (ROOT / "requirements" / "dev.txt").read_text(), re.MULTILINE)
        constraints = venvs / f"{extras}.txt"
        constraints.write_text("\n".join(pins))
        pip_install(python, "-c", constraints, "--editable", ROOT / "client", "--editable", f"{ROOT}[{extras}]")
    return python


def run_script(python: Path, script: str, *arguments: object, seconds: float = 120) -> str:
    """What a script of this folder prints; it fails, with all it said, where an assertion in it does."""
    done = subprocess.run(
        [python, SCRIPTS / script, *map(str, arguments)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build_go_client(folder: Path) -> Path:
    """The program of `go_client/`, built in `folder` from it and the proto files."""
    tools = ROOT / ".cache" / "bin"
    for tool in GO_TOOLS:
        if not (tools / tool.split("@")[0].rsplit("/", 1)[1]).exists():
            subprocess.run(["go", "install", tool], env=environment(GOBIN=str(tools)), check=True)
    build = folder / "go_client"
    shutil.copytree(SCRIPTS / "go_client", build)
    protos = sorted(path.relative_to(ROOT / "proto").as_posix() for path in (ROOT / "proto" / "inference").iterdir())
    package = [f"M{name}={GO_MODULE}/inference" for name in protos]
    protoc = [Path(sys.executable).with_name("protoc"), f"-I{ROOT / 'proto'}"]
    for plugin in ("go", "go-grpc"):
        flags = [f"--{plugin}_out={build}", *(f"--{plugin}_opt={each}" for each in (f"module={GO_MODULE}", *package))]
        path = environment(PATH=f"{tools}:{environment()['PATH']}")
        subprocess.run([*protoc, *flags, *protos], env=path, check=True)
    subprocess.run(["go", "build", "-o", "client", "."], cwd=build, check=True)
    return build / "client"
