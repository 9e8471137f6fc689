"""The database is away for twenty seconds, under load: nothing is lost, or needs a restart."""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import httpx

from tests.faults.checker import Grid, check
from tests.faults.site import Site, make, seconds_behind, site
from tests.support.databases import connect
from tests.support.waiting import eventually

AWAY = 20.0  # seconds
PROMISED = 10.0
CALLERS = 4


async def test_a_database_that_comes_back_is_used_again_and_nothing_was_lost() -> None:
    async with site() as built:
        await built.start(2)
        grids, called = await make_triggers(built)
        answered: list[str] = []
        async with asyncio.TaskGroup() as group:
            callers = [
                group.create_task(call(built, number % 2, called, answered))
                for number in range(CALLERS)
            ]
            await asyncio.sleep(4)
            built.postgres.kill()
            await asyncio.sleep(AWAY)
            built.postgres.start()
            ready_after = await until_ready(built)
            before = len(answered)
            await eventually(lambda: lengths(answered), lambda found: found > before + 20)
            for caller in callers:
                caller.cancel()
        await eventually(lambda: seconds_behind(built.url), lambda late: late < 1)
        await built.end()
        report = await check(built.url, grids)
        kept = await events_of(built, called)
        code, said = built.audit()

    print(f"database away for {AWAY:.0f} s: ready {ready_after:.1f} s after its return")
    print(f"  {len(answered)} calls answered, {len(set(answered) - set(kept))} of them lost")
    print(f"  {report}\n  audit: {said.strip()}")
    assert ready_after < PROMISED
    assert set(answered) <= set(kept)
    assert len(set(answered)) == len(answered)
    assert report.is_clean
    assert report.fired == report.planned
    assert code == 0


async def make_triggers(built: Site) -> tuple[dict[int, Grid], int]:
    grids = {}
    async with built.client() as client:
        for _ in range(30):
            made = await make(client, {"interval": "PT1S", "recurring": True, "catch_up": "all"})
            first = datetime.fromisoformat(made["created_at"]) + timedelta(seconds=1)
            grids[made["id"]] = Grid(first)
        called = (await client.post("/triggers", json={"type": "api"})).json()["id"]
    return grids, called


async def call(built: Site, replica: int, trigger_id: int, answered: list[str]) -> None:
    """Calls again and again, and notes which event each answer named."""
    async with built.client(replica) as client:
        while True:
            try:
                answer = await client.post(f"/triggers/{trigger_id}/trigger")
            except httpx.TransportError:
                continue
            assert answer.status_code in (200, 503), answer.text
            if answer.status_code == 200:
                answered.append(answer.headers["Location"])
            await asyncio.sleep(0.02)


async def until_ready(built: Site) -> float:
    """Seconds until every replica says again that it is ready."""
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


async def events_of(built: Site, trigger_id: int) -> Counter[str]:
    connection = await connect(built.url)
    try:
        rows = await connection.fetch("SELECT id FROM events WHERE trigger_id = $1", trigger_id)
    finally:
        await connection.close()
    return Counter(f"/events/{row['id']}" for row in rows)
