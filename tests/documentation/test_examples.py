"""The programs of examples/ do what they say, against a real server; those of other languages by `make examples`."""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.documentation.blocks import matches
from tests.documentation.session import EXAMPLES, Session
from tests.foreign.environments import TRITON, python_with
from tests.support.processes import ROOT, environment

FOLDER = ROOT / "examples"
PRINTED = {
    "classify.py": """\
7 with a score of 1.000 by mnist-256x128
the first hidden layer has 256 neurons
4 at column 48, row 18
7 at column 114, row 18
1 at column 177, row 18
read: 471
refused: encoded_images[0]: …
""",
    "classify_asyncio.py": "100 of 100 are a 1\n",
    "stream.py": """\
image 250: the array has shape [3, 28], expected [28, 28] or [784] for one image, …
499 images show a 1
""",
    "triton_client.py": "label 1 from 16 neurons\nserved: …mnist-16x16…\n",
    "export_classifier.py": '…/tiny/1 written: 64-20-10 relu, …\n{…"model": {"name": "tiny"…\n',
    "score_folder.py": "1 scored by mnist-256x128\n…seven.png shows 7\n",
}
LONG, SLOW = ("export_classifier.py",), "it trains a network"
OTHERS = {
    "go": (("go",), "sh generate.sh && go run . {address}"),
    "java": (("mvn", "javac"), "mvn -q -B compile exec:java -Dexec.args={address}"),
    "javascript": (("node", "npm"), "npm install --silent --no-audit --no-fund && node classify.js {address}"),
    "rust": (("cargo",), "cargo run --quiet -- {address}"),
}
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
ANSWER = "7 with a score of 1.000 by mnist-256x128\nread: 471\n"


def test_every_example_has_its_test():
    names = {path.name for path in FOLDER.iterdir()} - {"README.md", ".gitignore"}
    assert names == {*PRINTED, *OTHERS, "browser"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.skipif(name in LONG and not EXAMPLES, reason=f"{SLOW}: `make examples`"))
        for name in PRINTED
    ],
)
def test_a_python_example_prints_what_it_shall(name: str, shared: Session, tmp_path: Path):
    """As its first lines say it is called."""
    session = Session(tmp_path, every_model=False)
    session.server = shared.server
    python = python_with("triton", *TRITON) if name == "triton_client.py" else "python"
    arguments = {"export_classifier.py": tmp_path / "mine", "score_folder.py": ""}.get(name, "localhost:8001")
    printed = session.run("sh", f"{python} examples/{name} {arguments}")
    assert matches(PRINTED[name], printed), printed


@pytest.mark.skipif(not EXAMPLES, reason="its tool chain takes minutes: `make examples`")
@pytest.mark.parametrize("language", OTHERS)
def test_an_example_in_another_language_prints_the_same(language: str, shared: Session, tmp_path: Path):
    """It is generated, built and run in a copy."""
    programs, command = OTHERS[language]
    copy = _copy(language, tmp_path, *programs)
    done = subprocess.run(
        ["sh", "-c", command.format(address=shared.server.address)],
        cwd=copy,
        env=_tools(),
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert _COLOURS.sub("", done.stdout) == ANSWER


@pytest.mark.skipif(not EXAMPLES, reason="its tool chain takes minutes: `make examples`")
def test_the_page_of_the_browser_example_classifies_a_file(shared: Session, tmp_path: Path):
    """In a real browser, by gRPC-Web."""
    from playwright.sync_api import sync_playwright

    copy = _copy("browser", tmp_path, "node", "npm", "chromium")
    env = _tools() | {"DIGITS": f"127.0.0.1:{shared.server.http_port}"}
    command = "npm install --silent --no-audit --no-fund && mkdir -p generated && npm run -s generate"
    subprocess.run(["sh", "-c", command], cwd=copy, env=env, check=True, timeout=300)
    served = ["npx", "vite", "--host", "127.0.0.1", "--port", "0", "--logLevel", "info"]
    with subprocess.Popen(
        served, cwd=copy, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            address = next(part for line in process.stdout for part in line.split() if part.startswith("http://"))
            with sync_playwright() as playwright:
                browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
                page = browser.new_page()
                page.goto(address)
                page.set_input_files("#file", ROOT / "tests" / "data" / "several.png")
                page.wait_for_function("document.querySelector('#answer').textContent")
                assert page.text_content("#answer").endswith("by mnist-256x128; read: 471")
        finally:
            os.killpg(process.pid, signal.SIGTERM)


def _copy(name: str, folder: Path, *programs: str) -> Path:
    """A copy of an example beside what it reads; skips where a program is missing, unless extras are required."""
    for program in programs:
        if shutil.which(program) is None:
            assert not os.environ.get("REQUIRE_EXTRAS"), f"{program} is not on the PATH"
            pytest.skip(f"{program} is not on the PATH")
    ignored = shutil.ignore_patterns("node_modules", "target", "generated", "digits", "bin")
    copy = folder / "examples" / name
    shutil.copytree(FOLDER / name, copy, ignore=ignored)
    for other in ("proto", "tests"):
        (folder / other).symlink_to(ROOT / other)
    return copy


def _tools() -> dict[str, str]:
    import google.rpc

    google_folder = Path(google.rpc.__path__[0]).parents[1]
    protoc = Path(shutil.which("protoc", path=f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}") or "protoc")
    built = str(ROOT / ".cache" / "examples" / "rust")
    return environment(PROTOC=str(protoc), GOOGLE=str(google_folder), CARGO_TARGET_DIR=built)
