"""Takes the database away for 20 seconds under load: nothing is lost, or needs a restart."""

import asyncio

import httpx

from tests.faults.checker import check
from tests.faults.site import (
    Site,
    keep_calling,
    locations_of,
    make_secondly,
    site,
    until_on_time,
)
from tests.support.triggers import make_api
from tests.support.waiting import eventually

AWAY = 20.0  # seconds
CALLERS = 4


async def test_a_database_that_comes_back_is_used_again_and_nothing_was_lost() -> None:
    async with site() as built:
        await built.start(2)
        async with built.client() as client:
            grids = await make_secondly(client, 30, catch_up="all")
            called = int((await make_api(client))["id"])
        answered: list[str] = []
        async with asyncio.TaskGroup() as group:
            callers = [
                group.create_task(keep_calling(built.client(number % 2), called, answered))
                for number in range(CALLERS)
            ]
            await asyncio.sleep(4)
            built.postgres.kill()
            await asyncio.sleep(AWAY)
            built.postgres.start()
            ready_after = await until_ready_again(built)
            before = len(answered)
            await eventually(lambda: lengths(answered), lambda found: found > before + 20)
            for caller in callers:
                caller.cancel()
        await until_on_time(built.url)
        await built.end()
        report = await check(built.url, grids)
        kept = await locations_of(built.url, called)
        code, said = built.audit()

    print(f"database away for {AWAY:.0f} s: ready {ready_after:.1f} s after its return")
    print(f"  {len(answered)} calls answered, {len(set(answered) - set(kept))} of them lost")
    print(f"  {report}\n  audit: {said.strip()}")
    assert set(answered) <= set(kept)
    assert len(set(answered)) == len(answered)
    assert report.is_clean
    assert report.fired == report.planned
    assert code == 0


async def until_ready_again(built: Site) -> float:
    """Waits until every replica is ready again, and gives the seconds."""
    clock = asyncio.get_running_loop().time
    started = clock()
    for replica in (0, 1):
        async with built.client(replica) as client:
            await eventually(lambda: status_of(client), lambda status: status == 200)
    return clock() - started


async def status_of(client: httpx.AsyncClient) -> int:
    return (await client.get("/readyz")).status_code


async def lengths(answered: list[str]) -> int:
    return len(answered)
