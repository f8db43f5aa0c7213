"""What is on disk becomes what is served: policies, swaps, broken versions, loading and unloading."""

import asyncio
import gc
import os
import shutil
import weakref

import numpy as np
import onnx
import pytest

from artifact.store import LayoutError
from engine.errors import NotAllowed, NotFound, NotReady
from engine.models.repository import Repository, RepositoryError
from engine.models.version import State
from service.config import Settings
from tests.support.repositories import place
from tests.unit.engine.loading import NAME, listed, opened, write_policy


async def served(repository: Repository, version: str) -> None:
    """Wait until `version` is the newest that serves."""
    changed = asyncio.Event()
    repository.on_change = changed.set
    async with asyncio.timeout(10):
        while repository.find(NAME, "").version != version:
            await changed.wait()
            changed.clear()


async def test_a_new_version_is_served_and_the_old_one_stays(models):
    """Under the policy `all`, which is what no policy.json means."""
    repository = await opened(models)
    assert repository.find(NAME, "").version == "1"
    place(models, NAME, 2)
    await repository.refresh()
    assert repository.find(NAME, "").version == "2"
    assert repository.find(NAME, "1").version == "1"


async def test_a_broken_version_never_serves_and_the_old_one_goes_on(models):
    """Its reason is kept, it is counted, and it is not tried again until it changes."""
    repository = await opened(models)
    place(models, NAME, 2, broken=True)
    await repository.refresh()
    assert listed(repository) == {1: State.READY, 2: State.FAILED}
    assert repository.find(NAME, "").version == "1"
    with pytest.raises(NotReady, match=r"does not reproduce its golden rows"):
        repository.find(NAME, "2")
    assert repository.statistics[NAME, 2].load_failures == 1
    await repository.refresh()
    assert repository.statistics[NAME, 2].load_failures == 1
    place(models, NAME, 2)
    await repository.refresh()
    assert repository.find(NAME, "").version == "2"


async def test_a_version_that_is_removed_is_let_go(models):
    """The next call finds what is left."""
    place(models, NAME, 2)
    repository = await opened(models)
    shutil.rmtree(models / NAME / "2")
    await repository.refresh()
    assert listed(repository) == {1: State.READY}
    assert repository.find(NAME, "").version == "1"
    with pytest.raises(NotFound):
        repository.find(NAME, "2")


async def test_a_model_that_is_removed_is_gone(models):
    """And the default falls to what there is."""
    place(models, "mnist-16x16", 1)
    repository = await opened(models)
    assert repository.default_model == "mnist-16x16"
    shutil.rmtree(models / "mnist-16x16")
    await repository.refresh()
    assert list(repository.models) == [NAME]
    assert repository.find("", "").name == NAME


async def test_a_call_in_flight_finishes_on_the_version_it_began_with(models):
    """And the session is freed after its last call, not before."""
    repository = await opened(models)
    found = repository.find(NAME, "")
    session = weakref.ref(found.session)
    before = found.session.sha256
    place(models, NAME, 1, broken=False)
    write_policy(models, "newest")
    place(models, NAME, 2)
    await repository.refresh()
    assert listed(repository) == {2: State.READY}
    answer = await found.batcher.submit(np.zeros((1, 64), np.uint8), lambda answer: answer)
    assert answer.result.scores.shape == (1, 10)
    assert found.session.sha256 == before
    del found, answer
    await asyncio.sleep(0)
    gc.collect()
    assert session() is None


async def test_a_file_replaced_in_place_is_loaded_aside_and_swapped(models):
    """The same version number, another file: calls see the one or the other."""
    repository = await opened(models)
    before = repository.find(NAME, "1").session.sha256
    shutil.rmtree(models / NAME / "1")
    place(models, NAME, 1)
    path = models / NAME / "1" / "model.onnx"
    model = onnx.load(path)
    model.doc_string = "another"
    onnx.save(model, path)
    await repository.refresh()
    assert repository.find(NAME, "1").session.sha256 != before


async def test_a_file_replaced_by_a_broken_one_leaves_the_old_one_serving(models):
    """The reason is told though the version is ready."""
    repository = await opened(models)
    before = repository.find(NAME, "1")
    place(models, NAME, 1, broken=True)
    await repository.refresh()
    after = repository.find(NAME, "1")
    assert after is before
    assert after.state is State.READY
    assert "does not reproduce" in after.reason


async def test_polling_follows_the_folder(models):
    """Without a call, within the interval."""
    repository = await opened(models, model_control="poll", poll_seconds=0.1)
    watching = asyncio.create_task(repository.watch())
    place(models, NAME, 2)
    await served(repository, "2")
    watching.cancel()


async def test_a_folder_that_vanishes_for_a_while_takes_nothing_out_of_service(models, tmp_path):
    """Polling goes on, and so does what is loaded."""
    repository = await opened(models, model_control="poll", poll_seconds=0.1)
    watching = asyncio.create_task(repository.watch())
    away = models.with_name("away")
    models.rename(away)
    await asyncio.sleep(0.3)
    assert repository.find(NAME, "").version == "1"
    place(away, NAME, 2)
    away.rename(models)
    await served(repository, "2")
    watching.cancel()


async def test_an_empty_folder_is_no_error_where_models_may_still_come(tmp_path):
    """Under poll and explicit the server starts, not ready."""
    with pytest.raises(RepositoryError, match="holds no model"):
        Repository(Settings(models=tmp_path))
    repository = await opened(tmp_path, model_control="poll")
    with pytest.raises(NotFound, match=r"there is no model ''; there is none"):
        repository.find("", "")
    place(tmp_path, NAME, 1)
    await repository.refresh()
    assert repository.find("", "").name == NAME


async def test_explicit_loading_and_unloading(models):
    """Unload lets go, load brings back, and both know their limits."""
    repository = await opened(models, model_control="explicit")
    await repository.unload_model(NAME)
    assert listed(repository) == {1: State.UNLOADED}
    with pytest.raises(NotReady, match="it was unloaded"):
        repository.find(NAME, "")
    await repository.load_model(NAME)
    assert repository.find(NAME, "").version == "1"
    place(models, NAME, 2)
    assert repository.find(NAME, "").version == "1"
    await repository.load_model(NAME)
    assert repository.find(NAME, "").version == "2"
    with pytest.raises(NotFound):
        await repository.load_model("nobody")
    with pytest.raises(NotFound):
        await repository.unload_model("nobody")


async def test_a_load_that_leaves_nothing_ready_says_why(models):
    """The caller learns the reason."""
    repository = await opened(models, model_control="explicit")
    await repository.unload_model(NAME)
    place(models, NAME, 1, broken=True)
    with pytest.raises(NotAllowed, match=r"was not loaded: .* does not reproduce"):
        await repository.load_model(NAME)


@pytest.mark.parametrize("mode", ["none", "poll"])
async def test_loading_by_call_is_refused_unless_control_is_explicit(models, mode):
    """Two masters would undo each other's work."""
    repository = await opened(models, model_control=mode)
    with pytest.raises(NotAllowed, match="explicit"):
        await repository.load_model(NAME)
    with pytest.raises(NotAllowed, match="explicit"):
        await repository.unload_model(NAME)


@pytest.mark.parametrize("file", ["policy.json", "1/golden.npz", "1/model.onnx"])
async def test_a_pipe_in_the_place_of_a_file_holds_nothing_up(models, file):
    """Opening it to read would wait for ever; what is loaded goes on, with a reason."""
    repository = await opened(models)
    path = models / NAME / file
    path.unlink(missing_ok=True)
    os.mkfifo(path)
    async with asyncio.timeout(10):
        await repository.refresh()
    assert repository.find(NAME, "1").state is State.READY
    if file != "policy.json":
        assert "it is no file" in repository.find(NAME, "1").reason


async def test_loading_a_name_looks_nowhere_but_in_the_models_folder(models, tmp_path_factory):
    """Neither a way out of it nor a name of a megabyte reads, keeps or logs anything."""
    outside = tmp_path_factory.mktemp("outside")
    os.mkfifo(outside / "policy.json")
    repository = await opened(models, model_control="explicit")
    for name in (f"../{outside.name}", str(outside), "x" * 1_000_000, ""):
        async with asyncio.timeout(10):
            with pytest.raises(NotFound) as raised:
                await repository.load_model(name)
        assert len(str(raised.value)) < 200
    assert list(repository._policies) == [NAME]


async def test_a_caller_that_gives_up_leaves_no_version_half_loaded(models):
    """The loading goes on without it."""
    repository = await opened(models, model_control="explicit")
    await repository.unload_model(NAME)
    loading = asyncio.create_task(repository.load_model(NAME))
    await asyncio.sleep(0)
    loading.cancel()
    changed = asyncio.Event()
    repository.on_change = changed.set
    async with asyncio.timeout(10):
        await changed.wait()
    await repository.load_model(NAME)
    assert repository.find(NAME, "").version == "1"


async def test_a_folder_that_is_suddenly_empty_takes_nothing_out_of_service(models):
    """More likely a file system that went away than every model at once."""
    repository = await opened(models, model_control="poll")
    shutil.rmtree(models / NAME)
    with pytest.raises(LayoutError, match="is empty, what is loaded goes on"):
        await repository.refresh()
    assert repository.find(NAME, "").version == "1"


async def test_loading_from_a_folder_that_is_gone_says_so(models):
    """And is no internal error."""
    repository = await opened(models, model_control="explicit")
    models.rename(models.with_name("gone"))
    with pytest.raises(NotAllowed, match="does not exist"):
        await repository.load_model(NAME)
