"""policy.json says which versions of a model are served."""

import pytest

from engine.models.version import State
from tests.support.repositories import place
from tests.unit.engine.loading import NAME, listed, opened, write_policy


@pytest.mark.parametrize(("policy", "served"), [("all", [1, 2, 3]), ("newest", [3]), ([1, 3], [1, 3]), ([2], [2])])
async def test_the_policy_says_which_versions_are_served(models, policy, served):
    """All, the newest, or a list."""
    place(models, NAME, 2)
    place(models, NAME, 3)
    write_policy(models, policy)
    repository = await opened(models)
    assert listed(repository) == dict.fromkeys(served, State.READY)


async def test_the_newest_that_is_good_is_served_when_the_newest_is_not(models):
    """The broken one is listed with its reason."""
    write_policy(models, "newest")
    place(models, NAME, 2, broken=True)
    repository = await opened(models)
    assert listed(repository) == {1: State.READY, 2: State.FAILED}


@pytest.mark.parametrize("content", ["{", "[]", '{"versions": "latest"}', '{"versions": []}', '{"versions": [0, "1"]}'])
async def test_a_malformed_policy_leaves_the_one_before_in_force(models, content):
    """A slip of the operator's pen takes nothing out of service."""
    place(models, NAME, 2)
    write_policy(models, "newest")
    repository = await opened(models)
    assert listed(repository) == {2: State.READY}
    (models / NAME / "policy.json").write_text(content)
    await repository.refresh()
    assert listed(repository) == {2: State.READY}


@pytest.mark.parametrize("content", ["[" * 100_000, " " * 100_000, '{"versions": "' + "x" * 1000 + '"}'])
async def test_a_hostile_policy_is_that_models_trouble_alone(models, content):
    """Nested past all bounds, or endless: others are followed all the same."""
    (models / NAME / "policy.json").write_text(content)
    repository = await opened(models)
    place(models, "mnist-16x16", 1)
    await repository.refresh()
    assert repository.find("mnist-16x16", "").version == "1"
    assert repository.find(NAME, "").version == "1"
