"""Events are followed over breaks of the network: none is lost, none comes twice."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from event_trigger_client import AsyncClient, Client, OnCall
from event_trigger_client.errors import NotFound, Unauthorized, Unreachable
from tests.support.losing import losing_proxy
from tests.support.services import ADA, token_of

STREAM = "/events/stream"
ENDS_LINES = "\u2028 \x85 \x0b \x1c"  # for str.splitlines


async def _fire(events: AsyncClient, numbers: range) -> None:
    calls = [{"trigger": "order", "payload": {"n": one}} for one in numbers]
    await events.triggers.fire_batch(calls)


async def _read(following: AsyncIterator[Mapping[str, Any]], count: int) -> list[int]:
    async with asyncio.timeout(60):
        return [(await anext(following))["payload"]["n"] for _ in range(count)]


async def test_events_arrive_once_and_in_order_over_broken_connections(
    url: str, events: AsyncClient
) -> None:
    await events.triggers.create(OnCall(), key="order")
    await _fire(events, range(-3, 0))  # before it is followed
    async with losing_proxy(url) as proxy, AsyncClient(proxy.url, token=token_of(ADA)) as far:
        following = far.events.follow(trigger="order")
        first = asyncio.create_task(_read(following, 1))
        await proxy.until_asked(STREAM)
        await proxy.cut()  # before anything has come
        await _fire(events, range(20))
        seen = [*await first, *await _read(following, 19)]
        for start in (20, 40):
            await proxy.cut()
            await _fire(events, range(start, start + 20))
            seen += await _read(following, 20)
        await following.aclose()

    assert seen == [*range(60)]


async def test_a_network_that_falls_silent_is_given_up(url: str, events: AsyncClient) -> None:
    await events.triggers.create(OnCall(), key="order")
    async with losing_proxy(url) as proxy, AsyncClient(proxy.url, token=token_of(ADA)) as far:
        following = far.events.follow(after=0, silence=0.3)
        proxy.is_silent = True
        reading = asyncio.create_task(_read(following, 5))
        await proxy.until_asked(STREAM)
        await _fire(events, range(5))
        await proxy.until_asked(STREAM, times=2)
        proxy.is_silent = False

        assert await reading == [*range(5)]


async def test_characters_that_end_lines_elsewhere_stay_in_their_event(
    url: str, events: AsyncClient
) -> None:
    await events.triggers.create(OnCall(), key="order")
    await events.fire("order", {"text": ENDS_LINES})

    event = await anext(events.events.follow(after=0))
    lines = [line async for line in events.events.export()]

    assert event["payload"] == {"text": ENDS_LINES}
    assert len(lines) == 1


async def test_a_stream_ends_with_until(url: str, events: AsyncClient) -> None:
    await events.triggers.create(OnCall(), key="order")
    await _fire(events, range(3))

    until = datetime.now(UTC) + timedelta(seconds=1)
    seen = [(one["payload"] or {})["n"] async for one in events.events.follow(after=0, until=until)]

    assert seen == [0, 1, 2]


async def test_a_stream_whose_token_is_wrong_or_whose_trigger_is_not_there_ends(
    url: str, events: AsyncClient
) -> None:
    with pytest.raises(NotFound):
        await anext(events.events.follow(trigger="nothing"))
    async with AsyncClient(url, token="wrong") as stranger:
        with pytest.raises(Unauthorized):
            await anext(stranger.events.follow(after=0))


async def test_a_stream_that_never_began_is_unreachable_after_its_retries() -> None:
    async with AsyncClient("http://127.0.0.1:1", retries=1) as nobody:
        for after in (None, 0):
            with pytest.raises(Unreachable):
                await anext(nobody.events.follow(after=after))


async def test_other_topics_say_after_a_break_that_some_may_be_missed(
    url: str, events: AsyncClient
) -> None:
    async with losing_proxy(url) as proxy, AsyncClient(proxy.url, token=token_of(ADA)) as far:
        changes = far.events.changes(["events", "triggers"])
        first = asyncio.ensure_future(anext(changes))
        await proxy.until_asked(STREAM)
        await events.triggers.create(OnCall(), key="order")
        made = await first
        await proxy.cut()
        missed = await anext(changes)
        await changes.aclose()

    assert (made.kind, made.data["key"]) == ("trigger", "order")
    assert (missed.kind, missed.data) == ("missed", {"topics": ["triggers"]})


async def test_the_blocking_client_follows_as_well(blocking: Client, events: AsyncClient) -> None:
    await events.triggers.create(OnCall(), key="order")
    await _fire(events, range(3))

    def read() -> list[int]:
        with blocking:
            found = zip(range(3), blocking.events.follow(trigger="order", after=0), strict=False)
            return [(event["payload"] or {})["n"] for _, event in found]

    assert await asyncio.to_thread(read) == [0, 1, 2]
