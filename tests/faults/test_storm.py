"""Kills a replica every two seconds, and PostgreSQL once: every instant fires exactly once."""

import asyncio
import random

from tests.faults.checker import Grid, check
from tests.faults.site import Site, make_secondly, site, until_on_time
from tests.support.databases import connect
from tests.support.services import ADA, BOB

REPLICAS, TRIGGERS = 4, 300
LASTS = 60.0  # seconds


async def test_a_storm_of_kills_loses_nothing_and_doubles_nothing() -> None:
    seed = random.randrange(10**6)
    async with site() as built:
        await built.start(REPLICAS)
        grids: dict[int, Grid] = {}
        for user_id in (ADA, BOB):
            async with built.client(user_id=user_id) as client:
                grids |= await make_secondly(client, TRIGGERS // 2, catch_up="all")

        kills = await rage(built, random.Random(seed))
        await until_on_time(built.url)
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


async def rage(built: Site, dice: random.Random) -> int:
    """Kills and restarts a replica every two seconds, and PostgreSQL once; gives the count."""
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
    """Deletes an event by SQL, and gives the finding that `verify` must print."""
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
