"""`--load lazy`: the default model is loaded at the start, any other by the first call that names it."""

import asyncio

import pytest
from digits_protocol.digits.v1 import digits_pb2 as pb
from digits_protocol.inference import model_repository_pb2 as repository_pb
from digits_protocol.inference import open_inference_pb2 as oip

from engine.errors import NotFound, NotReady
from engine.models.repository import Repository, RepositoryError
from engine.models.version import State
from service.api.health import SERVING
from service.api.method import LocalContext
from service.app import App
from service.config import Settings
from tests.support.repositories import place
from tests.unit.engine.loading import NAME, listed, opened, write_policy

OTHER = "mnist-16x16"  # the default where both are


@pytest.fixture
def both(models):
    """The model of `models`, and the default."""
    place(models, OTHER, 1)
    return models


async def test_the_first_call_loads_a_model_once_for_all_that_come_meanwhile(both):
    repository = await opened(both, load="lazy")
    assert (listed(repository), listed(repository, OTHER)) == ({1: State.ON_DEMAND}, {1: State.READY})
    found = await asyncio.gather(*(repository.find_loaded(NAME, number) for number in ("", "1", "")))
    assert {id(version) for version in found} == {id(repository.find(NAME, ""))}
    assert listed(repository) == {1: State.READY}


async def test_a_broken_model_fails_its_first_caller_and_nothing_else(both):
    """Later callers get the same sentence without another try, and the default goes on."""
    place(both, NAME, 1, broken=True)
    repository = await opened(both, load="lazy")
    assert repository.answers(NAME, "")
    for _ in range(2):
        with pytest.raises(NotReady, match="does not reproduce its golden rows"):
            await repository.find_loaded(NAME, "")
    assert repository.statistics[NAME, 1].load_failures == 1
    assert not repository.answers(NAME, "")
    assert (await repository.find_loaded(OTHER, "")).version == "1"


async def test_a_call_for_a_version_that_does_not_exist_says_what_there_is(both):
    repository = await opened(both, load="lazy")
    with pytest.raises(NotFound, match="has no version '7'; it has 1"):
        await repository.find_loaded(NAME, "7")


async def test_polling_and_policies_hold_for_what_is_not_loaded_too(both):
    """New versions are found without being loaded; what was asked for follows the folder as always."""
    repository = await opened(both, load="lazy", model_control="poll")
    place(both, NAME, 2)
    await repository.refresh()
    assert listed(repository) == {1: State.ON_DEMAND, 2: State.ON_DEMAND}
    write_policy(both, [2])
    await repository.refresh()
    assert (await repository.find_loaded(NAME, "")).version == "2"
    assert listed(repository) == {2: State.READY}
    place(both, NAME, 3)
    write_policy(both, "all")
    await repository.refresh()
    assert listed(repository) == dict.fromkeys((1, 2, 3), State.READY)


async def test_loading_and_unloading_by_call(both):
    """A model that was unloaded stays so until it is loaded by a call."""
    repository = await opened(both, load="lazy", model_control="explicit")
    await repository.unload_model(NAME)
    with pytest.raises(NotReady, match="it was unloaded"):
        await repository.find_loaded(NAME, "")
    await repository.load_model(NAME)
    assert listed(repository) == {1: State.READY}


async def test_a_first_caller_that_gives_up_leaves_no_model_half_loaded(both):
    repository = await opened(both, load="lazy")
    asking = asyncio.create_task(repository.find_loaded(NAME, ""))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert (await repository.find_loaded(NAME, "")).state is State.READY


async def test_a_default_model_that_is_broken_stops_the_start_only_if_it_was_named(both):
    """As without `--load lazy`: others can still answer."""
    place(both, OTHER, 1, broken=True)
    assert listed(await opened(both, load="lazy")) == {1: State.ON_DEMAND}
    repository = Repository(Settings(models=both, load="lazy", default_model=OTHER, log_level="error"))
    with pytest.raises(RepositoryError, match="does not reproduce its golden rows"):
        await repository.load()


async def test_listings_health_and_metrics_say_what_is_true(both):
    """A model on demand counts as ready but not as loaded. The first call of any RPC loads it."""
    async with App.open(Settings(models=both, load="lazy", log_level="error")) as app:

        async def ask(path: str, request):
            answer = await app.run(path, request.SerializeToString())
            return app.methods[path].response.FromString(answer)

        async def told() -> tuple[object, ...]:
            models = (await ask("/digits.v1.DigitsService/ListModels", pb.ListModelsRequest())).models
            [version] = next(model for model in models if model.name == NAME).versions
            index = await ask("/inference.GRPCInferenceService/RepositoryIndex", repository_pb.RepositoryIndexRequest())
            [state] = [(each.state, each.reason) for each in index.models if each.name == NAME]
            loaded = [labels[0] for labels, _ in (await app.metrics())["digits_model_info"]]
            return version.state, list(version.classes), state, loaded

        ready = "/inference.GRPCInferenceService/ModelReady"
        waits = "the first call for the model loads it"
        assert await told() == (pb.MODEL_STATE_ON_DEMAND, [], ("UNAVAILABLE", waits), [OTHER])
        assert app.health.status("") == app.health.status(NAME) == SERVING
        assert (await ask(ready, oip.ModelReadyRequest(name=NAME))).ready
        assert await told() == (pb.MODEL_STATE_ON_DEMAND, [], ("UNAVAILABLE", waits), [OTHER])
        request = pb.ClassifyRequest(model=NAME, pixels=bytes(64))
        method = app.methods["/digits.v1.DigitsService/Classify"]
        assert method.fast_path(request.SerializeToString(), 0, LocalContext()) is None
        assert (await ask(method.path, request)).model.name == NAME
        assert method.fast_path(request.SerializeToString(), 0, LocalContext()) is not None
        digits = [str(digit) for digit in range(10)]
        assert await told() == (pb.MODEL_STATE_READY, digits, ("READY", ""), [NAME, OTHER])
