"""A folder like a clone, in which the commands of one page are run."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from tests.support.processes import ROOT, environment
from tests.support.server import SMALL, Server

SECONDS = 900
EXAMPLES = bool(os.environ.get("EXAMPLES"))
"""Whether `make examples` runs the tests: then what takes minutes is not left out."""
VENV = Path(sys.prefix)
WRITTEN = ("client", "examples")
"""Folders into which commands of the pages write: a session has copies of them."""
BUILT = ("build", "*.egg-info", "node_modules", "target", "generated", "bin", "__pycache__")

_MAKES = ("ARGS", "MAKEFLAGS")
"""What `make test ARGS=…` hands down, which is not meant for another `make` in a test."""


class Session:
    """Runs the commands of a page as a reader would, but on free ports and on 127.0.0.1 alone."""

    def __init__(self, folder: Path, *, every_model: bool) -> None:
        self.folder = folder
        self.server: Server | None = None
        self._servers: list[Server] = []
        for path in ROOT.iterdir():
            if path.name in WRITTEN:
                shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns(*BUILT))
            elif not path.name.startswith(".") and path.name not in ("models", "build", "dist"):
                (folder / path.name).symlink_to(path)
        (folder / ".venv").symlink_to(VENV)
        (folder / "models").mkdir()
        for path in (ROOT / "models").iterdir():
            if path.is_dir() and (every_model or path.name in (*SMALL, "mnist-256x128")):
                shutil.copytree(path, folder / "models" / path.name, copy_function=os.symlink)

    def close(self) -> None:
        """End the servers, first asked and then made to."""
        for server in self._servers:
            with suppress(ProcessLookupError):  # it did not start
                os.killpg(server.process.pid, signal.SIGTERM)
        for server in self._servers:
            server.wait()

    def start(self, command: str) -> Server:
        """A server, started by `command` on free ports, once it serves."""
        assert (VENV / ".stamp-cpu").exists(), "make serve would make the environment anew: run `make setup-dev`"
        env = self._environment(DIGITS_PORT="0", DIGITS_HTTP_PORT="0", DIGITS_LOG_FORMAT="json")
        process = subprocess.Popen(
            ["bash", "-c", self._adapted(command)],
            cwd=self.folder,
            env=env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        server = Server(process)
        self._servers.append(server)
        serving = server.wait_for("serving")
        server.port, server.http_port = serving["port"], serving["http_port"]
        self.server = server
        return server

    def run(self, language: str, code: str, python: Path | None = None) -> str:
        """What a block or a command of it prints on stdout and stderr; it must exit with 0."""
        command = (
            [str(python or VENV / "bin" / "python"), "-"] if language == "python" else ["bash", "-euo", "pipefail"]
        )
        done = subprocess.run(
            command,
            input=self._adapted(code),
            cwd=self.folder,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, f"{code}\nexit code {done.returncode}:\n{done.stdout}"
        return done.stdout

    def _environment(self, **settings: str) -> dict[str, str]:
        if self.server is not None:
            settings = {"DIGITS_PORT": str(self.server.port), "DIGITS_HTTP_PORT": str(self.server.http_port)} | settings
        path = f"{VENV / 'bin'}:{ROOT / '.cache' / 'bin'}:{os.environ['PATH']}"
        built = str(ROOT / ".cache" / "examples" / "rust")
        given = environment(PATH=path, COLUMNS="100", CARGO_TARGET_DIR=built, **settings)
        return {name: value for name, value in given.items() if name not in _MAKES}

    def _adapted(self, code: str) -> str:
        code = code.replace("0.0.0.0", "127.0.0.1")
        if self.server is not None:
            code = re.sub(r"(localhost|127\.0\.0\.1):8001\b", rf"\1:{self.server.port}", code)
            code = re.sub(r"(localhost|127\.0\.0\.1):8000\b", rf"\1:{self.server.http_port}", code)
        return code


def lacking(words: Set[str]) -> str:
    """The first program among `words` that is not on the PATH, or ""."""
    path = f"{ROOT / '.cache' / 'bin'}:{os.environ['PATH']}"
    return next((word for word in sorted(words) if shutil.which(word, path=path) is None), "")
