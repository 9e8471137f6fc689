"""A frozen replica does not keep the triggers that it claimed, and does no harm when it wakes."""

import asyncio
import random
import signal

import pytest

from tests.faults.checker import check
from tests.faults.site import count_events, make_secondly, site, until_on_time
from tests.support.locks import caught_while_firing
from tests.support.waiting import eventually


@pytest.mark.parametrize("fired_before", [0, 5], ids=["in a statement", "between statements"])
async def test_triggers_that_a_frozen_replica_claimed_fire_before_it_wakes(
    fired_before: int,
) -> None:
    async with site() as built:
        await built.start(1)
        async with built.client() as client:
            grids = await make_secondly(client, 20, catch_up="all")
        await eventually(lambda: count_events(built.url), lambda count: count >= 20 * fired_before)
        async with caught_while_firing(built.url):
            built.replicas[0].process.send_signal(signal.SIGSTOP)
        clock = asyncio.get_running_loop().time
        frozen_at = clock()
        await built.start(1)
        await until_on_time(built.url)
        waited = clock() - frozen_at
        built.replicas[0].process.send_signal(signal.SIGCONT)
        await asyncio.sleep(3)
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()

    print(f"frozen with triggers claimed: another has fired them all {waited:.1f} s later")
    print(f"  {report}\n  audit: {said.strip()}")
    assert report.is_clean
    assert code == 0


async def test_replicas_that_freeze_now_and_then_lose_nothing_and_double_nothing() -> None:
    seed = random.randrange(10**6)
    dice = random.Random(seed)
    async with site() as built:
        await built.start(3)
        async with built.client() as client:
            grids = await make_secondly(client, 100, catch_up="all")
        freezes = 5
        for _ in range(freezes):
            await asyncio.sleep(dice.random())
            with built.frozen(dice.randrange(3)):
                await asyncio.sleep(dice.uniform(2, 7))
        await until_on_time(built.url)
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()

    print(f"{freezes} freezes of 3 replicas, seed {seed}:\n  {report}\n  audit: {said.strip()}")
    assert report.is_clean
    assert code == 0
