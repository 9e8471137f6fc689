"""Replicas die every two seconds, PostgreSQL once: every instant still fires exactly once."""

import asyncio
import random
from datetime import datetime, timedelta

from tests.faults.checker import Grid, check
from tests.faults.site import Site, make, seconds_behind, site
from tests.support.databases import connect
from tests.support.services import ADA, BOB
from tests.support.waiting import eventually

REPLICAS, TRIGGERS = 4, 300
LASTS = 60.0  # seconds
SECONDLY = {"interval": "PT1S", "recurring": True, "catch_up": "all"}


async def test_a_storm_of_kills_loses_nothing_and_doubles_nothing() -> None:
    seed = random.randrange(10**6)
    async with site() as built:
        await built.start(REPLICAS)
        grids = await make_triggers(built)

        kills = await rage(built, random.Random(seed))
        await eventually(lambda: seconds_behind(built.url), lambda late: late < 1)
        await built.end()

        report = await check(built.url, grids)
        code, said = built.audit()
        lost = await delete_an_event(built)
        failing, findings = built.audit()

    print(f"storm, seed {seed}: {kills} kills -9 of {REPLICAS} replicas, one of PostgreSQL")
    print(f"  {report}\n  audit: {said.strip()}\n  an event deleted: {findings.strip()}")
    assert report.is_clean
    assert report.planned > TRIGGERS * (LASTS - 5)
    assert report.fired == report.planned
    assert (code, said.splitlines()[-1].endswith("It adds up.")) == (0, True)
    assert failing == 1
    assert lost in findings


async def make_triggers(built: Site) -> dict[int, Grid]:
    grids = {}
    for user_id in (ADA, BOB):
        async with built.client(user_id=user_id) as client:
            for _ in range(TRIGGERS // 2):
                made = await make(client, SECONDLY)
                first = datetime.fromisoformat(made["created_at"]) + timedelta(seconds=1)
                grids[made["id"]] = Grid(first)
    return grids


async def rage(built: Site, dice: random.Random) -> int:
    """Kills a replica every two seconds and starts it again; half-way, PostgreSQL too."""
    clock = asyncio.get_running_loop().time
    end, kills, served = clock() + LASTS, 0, True
    while clock() < end:
        await asyncio.sleep(2)
        victim = dice.randrange(REPLICAS)
        built.kill(victim)
        kills += 1
        if served and clock() > end - LASTS / 2:
            built.postgres.kill()
            built.postgres.start()
            served = False
        built.restart(victim)
    return kills


async def delete_an_event(built: Site) -> str:
    """Deletes one by hand, and says what an audit must name."""
    connection = await connect(built.url)
    try:
        row = await connection.fetchrow(
            "DELETE FROM events WHERE id = (SELECT max(id) - 500 FROM events)"
            " RETURNING trigger_id, scheduled_for"
        )
    finally:
        await connection.close()
    instant = row["scheduled_for"].isoformat().replace("+00:00", "Z")
    return f"trigger {row['trigger_id']}: neither an event nor a reason for {instant}"
