"""The channel between a supervisor and a worker."""

import asyncio
from typing import Any

import pytest

from service.workers.ipc import AnswerFailed, ChannelClosed, IpcConnection
from tests.unit.service.workers.ipc_pair import connected, nothing


async def echo(what: str, content: dict[str, Any]) -> dict[str, Any]:
    return {"what": what, **content}


async def test_questions_are_answered_each_by_its_own_answer():
    """However many are on their way, in whichever order the answers come, and of any size."""

    async def late(what: str, content: dict[str, Any]) -> dict[str, Any]:
        await asyncio.sleep(content["pause"])
        return content

    async with connected(nothing, late) as (asking, _):
        asked = [asking.ask("wait", pause=pause, text="x" * 200_000) for pause in (0.03, 0.01, 0.02)]
        assert [answer["pause"] for answer in await asyncio.gather(*asked)] == [0.03, 0.01, 0.02]


async def test_who_is_asked_may_ask_back_before_the_answer():
    """As a supervisor does whose worker asks for a change of all."""
    ends: list[IpcConnection] = []

    async def ask_back(what: str, content: dict[str, Any]) -> dict[str, Any]:
        return await ends[1].ask("back", **content)

    async with connected(echo, ask_back) as both:
        ends[:] = both
        assert await both[0].ask("there", number=7) == {"what": "back", "number": 7}


async def test_an_end_that_is_gone_fails_questions_and_what_is_told():
    """Those that wait for an answer as well as later ones."""
    never: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()

    async def hold_on(what: str, content: dict[str, Any]) -> dict[str, Any]:
        return await never

    async with connected(nothing, hold_on) as (asking, asked):
        waiting = asyncio.ensure_future(asking.ask("wait"))
        await asyncio.sleep(0.05)
        asked.close()
        with pytest.raises(ChannelClosed):
            await waiting
        await asking.closed
        with pytest.raises(ChannelClosed):
            await asking.ask("again")
        with pytest.raises(ChannelClosed):
            await asking.tell("again")


async def test_an_answer_that_fails_is_an_error_of_its_own_and_the_channel_goes_on():
    """The cause is in the log of who was asked."""

    async def fail_once(what: str, content: dict[str, Any]) -> dict[str, Any]:
        if what == "fail":
            raise KeyError("secret")
        return content

    async with connected(nothing, fail_once) as (asking, _):
        with pytest.raises(AnswerFailed):
            await asking.ask("fail")
        assert await asking.ask("go", on=True) == {"on": True}
