"""The image, built once, and stacks that are taken away in the end."""

from collections.abc import Callable, Iterator

import pytest

from tests.deployment.stack import Stack


@pytest.fixture(scope="session")
def image() -> str:
    """The image of this tree."""
    Stack("build").compose("build", "digits", seconds=1800)
    return "digits:cpu"


@pytest.fixture
def start_stack(image: str) -> Iterator[Callable[..., Stack]]:
    """Start a project by `docker-compose up` with some arguments."""
    stacks = []

    def start(name: str, *arguments: str, **variables: str) -> Stack:
        stack = Stack(name, **variables)
        stacks.append(stack)
        stack.up(*arguments)
        return stack

    yield start
    for stack in stacks:
        stack.down()
