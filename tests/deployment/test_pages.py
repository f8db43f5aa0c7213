"""The commands of README and docs/ for Docker do what the pages say; they are taken from the pages."""

import subprocess

import pytest

from tests.deployment.stack import Stack, docker, get, until
from tests.documentation.blocks import Block, blocks
from tests.support.processes import ROOT

pytestmark = pytest.mark.extra("docker")

NAME = "digits-test-page"
PAGES = {name: blocks(ROOT / name) for name in ("README.md", "docs/operate/deploy.md")}
RUN = [block for found in PAGES.values() for block in found if block.code.startswith("make image")]
[COMPOSE] = [block for block in PAGES["docs/operate/deploy.md"] if block.code.startswith("docker-compose up")]


def _shell(command: str, stack: Stack) -> None:
    subprocess.run(["bash", "-euo", "pipefail", "-c", command], cwd=ROOT, env=stack.variables, check=True, timeout=1800)


@pytest.mark.parametrize("block", RUN, ids=[block.place for block in RUN])
def test_the_image_is_built_and_serves(block: Block):
    """By `make image` and `docker run`, on free ports."""
    stack = Stack("page")
    code = block.code.replace("--name digits", f"--name {NAME}")
    code = code.replace("127.0.0.1:8001:", f"127.0.0.1:{stack.grpc}:").replace(
        "127.0.0.1:8000:", f"127.0.0.1:{stack.http}:"
    )
    assert f"127.0.0.1:{stack.http}:8000" in code
    try:
        _shell(code, stack)
        until(lambda: get(f"http://127.0.0.1:{stack.http}/readyz") == "ready\n", "the container is ready")
    finally:
        docker("rm", "--force", NAME)


def test_docker_compose_serves_behind_one_address():
    """Line by line, as deploy.md has them; after the last one nothing is left."""
    stack = Stack("page")
    *lines, down = [line for line in COMPOSE.code.splitlines() if line]
    assert down.startswith("docker-compose down")
    try:
        for line in lines:
            _shell(line, stack)
            until(lambda: get(f"http://127.0.0.1:{stack.http}/readyz") == "ready\n", f"it serves after {line}")
        assert len(stack.containers("digits")) == 3
    finally:
        _shell(down, stack)
    assert not stack.containers("digits")
    assert not stack.containers("balancer")
