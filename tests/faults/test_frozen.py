"""A frozen replica delays nobody for more than ten seconds, and does no harm when it wakes up."""

import asyncio
import random
import signal
from datetime import datetime, timedelta

import pytest

from tests.faults.checker import Grid, check
from tests.faults.site import Site, make, seconds_behind, site
from tests.support.databases import connect
from tests.support.locks import caught_while_firing
from tests.support.waiting import eventually

PROMISED = 10.0  # seconds
SECONDLY = {"interval": "PT1S", "recurring": True, "catch_up": "all"}


async def make_triggers(built: Site, count: int) -> dict[int, Grid]:
    grids = {}
    async with built.client() as client:
        for _ in range(count):
            made = await make(client, SECONDLY)
            first = datetime.fromisoformat(made["created_at"]) + timedelta(seconds=1)
            grids[made["id"]] = Grid(first)
    return grids


async def count_events(built: Site) -> int:
    connection = await connect(built.url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM events"))
    finally:
        await connection.close()


@pytest.mark.parametrize("fired_before", [0, 5], ids=["in a statement", "between statements"])
async def test_what_a_frozen_replica_claimed_fires_within_ten_seconds(fired_before: int) -> None:
    async with site() as built:
        await built.start(1)
        grids = await make_triggers(built, 20)
        await eventually(lambda: count_events(built), lambda count: count >= 20 * fired_before)
        async with caught_while_firing(built.url):
            built.replicas[0].process.send_signal(signal.SIGSTOP)
        clock = asyncio.get_running_loop().time
        frozen_at = clock()
        await built.start(1)
        await eventually(lambda: seconds_behind(built.url), lambda late: late < 1)
        waited = clock() - frozen_at
        built.replicas[0].process.send_signal(signal.SIGCONT)
        await asyncio.sleep(3)
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()

    print(f"frozen with triggers claimed: another has fired them all {waited:.1f} s later")
    print(f"  {report}\n  audit: {said.strip()}")
    assert waited < PROMISED
    assert report.is_clean
    assert code == 0


async def test_replicas_that_freeze_now_and_then_lose_nothing_and_double_nothing() -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    async with site() as built:
        await built.start(3)
        grids = await make_triggers(built, 100)
        freezes = 5
        for _ in range(freezes):
            await asyncio.sleep(dice.random())
            with built.frozen(dice.randrange(3)):
                await asyncio.sleep(dice.uniform(2, 7))
        await eventually(lambda: seconds_behind(built.url), lambda late: late < 1)
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()

    print(f"{freezes} freezes of 3 replicas, seed {seed}:\n  {report}\n  audit: {said.strip()}")
    assert report.is_clean
    assert report.latest < timedelta(seconds=PROMISED)
    assert code == 0
