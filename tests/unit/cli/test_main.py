"""The console script: what it lists, how fast, and how it fails."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import COMMANDS
from tests.support.processes import run_digits

DIGITS = str(Path(sys.executable).with_name("digits"))


run = run_digits


def test_help_lists_every_command():
    """`digits --help` has one line for each command."""
    shown = run("--help")
    assert shown.returncode == 0
    for name, (line, _) in COMMANDS.items():
        assert f"{name}" in shown.stdout
        assert line in shown.stdout


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_says_what_it_does(name: str):
    """`digits COMMAND --help` works, and its first words are those of the list."""
    shown = run(name, "--help")
    assert shown.returncode == 0, shown.stderr
    assert f"Usage: digits {name}" in shown.stdout
    assert COMMANDS[name][0].split(" ")[0] in shown.stdout


def test_help_is_quick():
    """`digits --help` imports nothing heavy: no protobuf, onnxruntime, NumPy or scikit-learn."""
    code = (
        "import sys; sys.argv = ['digits', '--help']; from cli.main import main\n"
        "try: main()\n"
        "except SystemExit: print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "grpc", "onnxruntime", "sklearn", "google.protobuf", "pydantic", "PIL"} & set(loaded)


def test_version():
    """`digits --version` prints the version."""
    assert run("--version").stdout.startswith("digits 0.")


@pytest.mark.parametrize("arguments", [["nope"], ["--nope"], ["classify"], ["health", "--timeout", "soon"]])
def test_wrong_usage(arguments: list[str]):
    """Wrong usage exits with 2 and a sentence, without a traceback."""
    failed = run(*arguments)
    assert failed.returncode == 2
    assert "Error" in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_while_the_server_is_still_being_imported_ends_it_well(number: signal.Signals):
    """As the first process of a container it would otherwise ignore SIGTERM."""
    code = (
        "import os, sys, time, cli.main\n"
        f"cli.main.build = lambda _: (os.kill(os.getpid(), {int(number)}), time.sleep(60))\n"
        "sys.argv = ['digits', 'serve']\n"
        "cli.main.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("command", "package", "extra"),
    [
        ("train", "threadpoolctl", "the extras train,cpu, in a clone: pip install ./client '.[train,cpu]'"),
        ("train", "sklearn", "the extras train,cpu, in a clone: pip install ./client '.[train,cpu]'"),
        ("classify", "rich", "the extras serve, in a clone: pip install ./client '.[serve]'"),
        ("serve", "onnxruntime", "the extras serve,cpu, in a clone: pip install ./client '.[serve,cpu]'"),
        ("health", "typer", "the extras serve, in a clone: pip install ./client '.[serve]'"),
    ],
)
def test_a_missing_extra_is_named(command: str, package: str, extra: str, tmp_path: Path, server):
    """Where a package of an extra is not installed, one sentence says what to install."""
    (tmp_path / f"{package}.py").write_text(f"raise ModuleNotFoundError('no', name='{package}')")
    more = {
        "train": ["digits-8x8", f"--out={tmp_path}"],
        "classify": [__file__, f"--server={server.address}"],
        "serve": ["--port=0", "--http-port=0"],
        "health": [],
    }
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from cli.main import main; main()"
    failed = subprocess.run(
        [sys.executable, "-c", code, command, *more[command]], capture_output=True, text=True, timeout=60
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"digits: this command needs the package {package}")
    assert extra in failed.stderr
    assert "Traceback" not in failed.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["learn", "--epochs=1"]])
def test_an_output_without_room(arguments: list[str]):
    """One sentence, without a traceback."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([DIGITS, *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.stderr == "digits: the output cannot be written: No space left on device\n"
    assert done.returncode == 1
