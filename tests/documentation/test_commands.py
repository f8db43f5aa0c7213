"""The commands of README and docs/ do what the pages say: each is taken from its page and run."""

import os
import re
from pathlib import Path

import pytest

from tests.documentation.blocks import Block, blocks, matches, pages
from tests.documentation.session import EXAMPLES, Session, lacking
from tests.foreign.environments import TRITON, python_with
from tests.support.processes import ROOT

# Commands that no test of this file runs, and what does.
ELSEWHERE = {
    "make test": "Makefile",  # `make examples` begins with it
    "make serve VARIANT=gpu": "tests/unit/engine/test_gpu.py",
    "digits train mnist-16x16:2 --images": "tests/unit/training/test_commands.py",
    "make image": "tests/deployment/test_pages.py",
    "docker run": "tests/deployment/test_pages.py",
    "docker-compose up": "tests/deployment/test_pages.py",
    "docker-compose logs": "tests/deployment/test_pages.py",
    "docker-compose down": "tests/deployment/test_pages.py",
    "mkdir -p tls": "tests/deployment/test_tls.py",  # the folders, as `docker-compose` mounts them
    "cp cert.pem": "tests/deployment/test_tls.py",
    "cp tests/data": "tests/deployment/test_score.py",
    "sudo chown": "tests/deployment/test_tls.py",
    "docker-compose --profile monitoring": "tests/deployment/test_monitoring.py",
    "docker-compose --profile tls": "tests/deployment/test_tls.py",
    "docker-compose --profile gpu": "tests/deployment/test_compose.py",
    "docker-compose --profile score": "tests/deployment/test_score.py",
    "kubectl apply": "tests/deployment/test_kubernetes.py",
}
_MARKS = {"server", "own", "examples", "elsewhere", "fresh", "triton"}

# What the commands of a page build on one another with.
PROGRAMS = ("curl", "openssl")

RUN = [(page, found) for page in pages() if (found := blocks(page))]


def _is_left_out(block: Block) -> bool:
    return "elsewhere" in block.words or (not EXAMPLES and "examples" in block.words)


@pytest.mark.parametrize(("page", "found"), RUN, ids=[str(page.relative_to(ROOT)) for page, _ in RUN])
def test_the_commands_of_a_page_do_what_it_says(page: Path, found: list[Block], shared: Session, tmp_path: Path):
    """In their order, in a folder like a clone; each exits with 0 and prints what stands behind it."""
    if all(map(_is_left_out, found)):
        pytest.skip("its commands are run by `make examples`")
    used = {program for program in PROGRAMS for block in found if re.search(rf"\b{program}\b", block.code)}
    if missing := lacking(used):
        assert not os.environ.get("REQUIRE_EXTRAS"), f"{missing} is not on the PATH"
        pytest.skip(f"its commands need {missing}")
    session = Session(tmp_path, every_model=EXAMPLES)
    session.server = shared.server
    try:
        for block in found:
            if not _is_left_out(block):
                _run(block, session)
    finally:
        session.close()


def _run(block: Block, session: Session) -> None:
    if missing := lacking(block.words - _MARKS):
        assert not os.environ.get("REQUIRE_EXTRAS"), f"{block.place}: {missing} is not on the PATH"
        return
    if "server" in block.words:
        if "own" in block.words or block.code.split("#")[0].strip() != "make serve":
            session.start(block.code)
        return
    python = python_with("triton", *TRITON) if "triton" in block.words else None
    for command, expected in block.steps():
        if "fresh" in block.words:
            command = f"python -m venv fresh\nPATH=$PWD/fresh/bin:$PATH\n{command}"
        printed = session.run(block.language, command, python)
        assert not expected or matches(expected, printed), f"{block.place} prints\n{printed}\nexpected\n{expected}"


def test_what_is_run_elsewhere_is_run_there():
    """Every command of a block so marked has its test, and no other command is named."""
    lines = [
        line.partition("#")[0].strip()
        for _, found in RUN
        for block in found
        if "elsewhere" in block.words
        for line in block.code.splitlines()
    ]
    assert lines
    assert {next((key for key in ELSEWHERE if line.startswith(key)), line) for line in lines} == set(ELSEWHERE)
    assert all((ROOT / place).exists() for place in ELSEWHERE.values())


def test_outputs_are_compared():
    """An ellipsis stands for text of one line, or alone for lines; nothing else may differ."""
    assert matches("a …%\n…\nb\n", "a 94.6%\n\nx\nb\n")
    assert not matches("a …%\nb\n", "a 94.6%\nx\nb\n")
    assert not matches("471\n", "4711\n")
