"""Calls through a network that loses them: what is repeated, and what is not."""

from collections import Counter
from itertools import chain, cycle, repeat

import pytest

from event_trigger_client import AsyncClient, OnCall
from event_trigger_client.errors import NotFound, Unreachable
from tests.support.losing import ANSWER, HALF_THE_ANSWER, NEVER, REQUEST, losing_proxy
from tests.support.services import ADA, token_of

LOSSES = (REQUEST, ANSWER, HALF_THE_ANSWER)


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_call_that_fires_is_repeated_and_makes_one_event(
    url: str, events: AsyncClient, loss: str
) -> None:
    await events.triggers.create(OnCall(), key="order")
    async with losing_proxy(url) as proxy, AsyncClient(proxy.url, token=token_of(ADA)) as far:
        proxy.loses = chain([loss, loss], repeat(NEVER)).__next__

        fired = await far.fire("order", {"n": 1})

    assert [one["id"] async for one in events.events.list(trigger="order")] == [fired.event_id]
    assert fired.is_replayed == (loss != REQUEST)
    assert proxy.lost == [loss, loss]


async def test_of_many_fires_none_is_lost_or_double(url: str, events: AsyncClient) -> None:
    await events.triggers.create(OnCall(), key="order")
    async with losing_proxy(url) as proxy, AsyncClient(proxy.url, token=token_of(ADA)) as far:
        proxy.loses = cycle((NEVER, ANSWER, REQUEST, NEVER, HALF_THE_ANSWER)).__next__

        for number in range(15):
            await far.fire("order", {"n": number})

    seen = Counter(
        [(one["payload"] or {})["n"] async for one in events.events.list(trigger="order")]
    )
    assert seen == Counter(range(15))
    assert {*proxy.lost} == {*LOSSES}


@pytest.mark.parametrize("loss", [ANSWER, HALF_THE_ANSWER])
async def test_what_is_not_safe_to_repeat_is_unreachable(
    url: str, events: AsyncClient, loss: str
) -> None:
    made = await events.triggers.put("held", OnCall())
    etag = (await events.send("GET", "/triggers/by-key/held")).headers["ETag"]
    async with losing_proxy(url) as proxy, AsyncClient(proxy.url, token=token_of(ADA)) as far:
        proxy.loses = chain([loss], repeat(NEVER)).__next__
        with pytest.raises(Unreachable, match="not known whether") as patched:
            await far.triggers.patch(made["id"], name="Held")
        proxy.loses = chain([loss], repeat(NEVER)).__next__
        with pytest.raises(Unreachable):
            await far.triggers.put("held", OnCall(), name="Other", if_match=etag)

    assert patched.value.is_sent
    assert (await events.triggers.get("held"))["name"] == "Held"
    assert len(proxy.lost) == 2


async def test_a_delete_whose_answer_is_lost_is_done(url: str, events: AsyncClient) -> None:
    await events.triggers.put("gone", OnCall())
    async with losing_proxy(url) as proxy, AsyncClient(proxy.url, token=token_of(ADA)) as far:
        proxy.loses = chain([ANSWER], repeat(NEVER)).__next__
        await far.triggers.delete("gone")

        with pytest.raises(NotFound):
            await far.triggers.delete("gone")


async def test_a_call_is_given_up_after_its_retries(url: str) -> None:
    async with losing_proxy(url) as proxy:
        proxy.loses = lambda: ANSWER
        async with AsyncClient(proxy.url, token=token_of(ADA), retries=2) as far:
            with pytest.raises(Unreachable):
                await far.info()

    assert proxy.lost == [ANSWER] * 3
