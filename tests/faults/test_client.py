"""The Python client is killed, and loses its network and its service: each event counts once."""

import asyncio
import random
from collections import Counter
from pathlib import Path

from event_trigger_client import AsyncClient, OnCall
from tests.faults.site import Site, site
from tests.support.databases import connect
from tests.support.killing import Orders, fire_and_be_killed
from tests.support.losing import LosingProxy, losing_proxy
from tests.support.processes import until_ready
from tests.support.services import ADA, token_of

FIRES, EVENTS, BATCH = 1_000, 10_000, 50
PAUSE = 0.15  # seconds between batches: the events take half a minute


async def _numbers(url: str) -> Counter[int]:
    connection = await connect(url)
    try:
        rows = await connection.fetch("SELECT (payload::json->>'n')::int AS n FROM events")
    finally:
        await connection.close()
    return Counter(row["n"] for row in rows)


async def test_a_thousand_orders_of_a_client_that_is_killed_are_a_thousand_events(
    tmp_path: Path,
) -> None:
    seed = random.randrange(10**6)
    async with site() as built:
        await built.start(1)
        url = built.replicas[0].url
        async with AsyncClient(url, token=token_of(ADA)) as events, losing_proxy(url) as proxy:
            await events.triggers.create(OnCall(), key="order")
            orders = Orders(tmp_path / "done", FIRES, most_between_kills=60)
            killed = await fire_and_be_killed(proxy, token_of(ADA), orders, random.Random(seed))
        await built.end()
        numbers = await _numbers(built.url)

    double = sum(count - 1 for count in numbers.values())
    print(f"{FIRES} fires, {killed.kills} kills of the client, {killed.losses} losses, seed {seed}")
    print(f"  events {numbers.total()}, double {double}, lost {FIRES - len(numbers)}")
    assert numbers == Counter(range(FIRES))
    assert killed.kills > 5


async def _fire(proxy: LosingProxy) -> None:
    """Fires all events, and one more at the end; its own calls last over each restart."""
    async with AsyncClient(proxy.url, token=token_of(ADA), retries=100) as events:
        for first in range(0, EVENTS, BATCH):
            numbers = range(first, first + BATCH)
            calls = [{"trigger": "order", "payload": {"n": one}} for one in numbers]
            await events.triggers.fire_batch(calls)
            await asyncio.sleep(PAUSE)
        await events.fire("order", {"n": EVENTS})


async def _disturb(
    built: Site, follower: LosingProxy, caller: LosingProxy, firing: asyncio.Task[None]
) -> Counter[str]:
    """Breaks the follower's network again and again, and kills the service, while events come."""
    done: Counter[str] = Counter()
    first = ["kill", "cut", "silence"]  # also where all is over in a few seconds
    while not firing.done():
        await asyncio.sleep(random.uniform(0.2, 1))
        what = first.pop(0) if first else random.choice(["cut"] * 5 + ["silence"] * 2 + ["kill"])
        if what == "cut":
            await follower.cut()
        elif what == "silence":
            follower.is_silent = True
            await asyncio.sleep(random.uniform(0.5, 4))
            follower.is_silent = False
        else:
            built.kill(0)
            built.restart(0)
            await until_ready(built.replicas[0])
            follower.port = caller.port = int(built.replicas[0].url.rpartition(":")[2])
        done[what] += 1
    return done


async def test_of_ten_thousand_events_a_follower_sees_each_once() -> None:
    ids, seen = [], []
    async with site() as built:
        await built.start(1)
        url = built.replicas[0].url
        async with (
            losing_proxy(url) as network,
            losing_proxy(url) as caller,
            AsyncClient(network.url, token=token_of(ADA), retries=100) as far,
        ):
            async with AsyncClient(url, token=token_of(ADA)) as events:
                await events.triggers.create(OnCall(), key="order")
            firing = asyncio.create_task(_fire(caller))
            disturbing = asyncio.create_task(_disturb(built, network, caller, firing))
            async with asyncio.timeout(600):
                async for event in far.events.follow(after=0, silence=2):
                    ids.append(event["id"])
                    seen.append((event["payload"] or {})["n"])
                    if seen[-1] == EVENTS:
                        break
            await firing
            done = await disturbing
        numbers = await _numbers(built.url)

    streams = sum("/events/stream" in one for one in network.requests)
    print(f"{EVENTS} events followed on {streams} connections, {dict(done)}")
    print(f"  lost {EVENTS + 1 - len({*ids})}, twice {len(ids) - len({*ids})}")
    assert numbers == Counter(range(EVENTS + 1))
    assert Counter(seen) == numbers
    assert len(ids) == len({*ids})
    assert done["kill"] > 0
