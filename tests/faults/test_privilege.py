"""A service that may not make partitions any more shows it in /readyz before firing stops."""

import asyncio

import httpx
from sqlalchemy import make_url

from tests.faults.checker import check
from tests.faults.site import (
    count_events,
    make_secondly,
    seconds_behind,
    site,
    until_on_time,
)
from tests.support.databases import connect
from tests.support.services import fill_with_people
from tests.support.waiting import eventually

WINDOW = {"EVENT_TRIGGER_KEEP_FOR": "PT192S", "EVENT_TRIGGER_ACTIVE_FOR": "PT60S"}
AHEAD = 96.0  # seconds that partitions are made ahead: four sweeps of an eighth of the window


async def test_a_lost_privilege_is_said_before_firing_stops() -> None:
    async with site(WINDOW) as built:
        owner = await connect(built.postgres.url)
        await owner.execute("CREATE ROLE service LOGIN")
        await owner.execute("CREATE DATABASE theirs")
        await owner.close()
        theirs = make_url(built.postgres.url).set(database="theirs")
        owner = await connect(theirs.render_as_string(hide_password=False))
        await owner.execute("GRANT CREATE, USAGE ON SCHEMA public TO service")
        built.url = theirs.set(username="service").render_as_string(hide_password=False)
        await fill_with_people(built.url)
        await built.start(1)
        async with built.client() as client:
            grids = await make_secondly(client, 10, catch_up="all")

        await owner.execute("REVOKE CREATE ON SCHEMA public FROM service")
        clock = asyncio.get_running_loop().time
        revoked_at = clock()
        async with built.client() as client:
            reason = await eventually(lambda: unreadiness(client), bool, within=2 * AHEAD)
            said_after, fired = clock() - revoked_at, await count_events(built.url)
            await eventually(lambda: count_events(built.url), lambda count: count > fired)
            await eventually(lambda: seconds_behind(built.url), lambda late: late > 5, within=AHEAD)
            stopped_after = clock() - revoked_at
            await owner.execute("GRANT CREATE ON SCHEMA public TO service")
            await eventually(lambda: unreadiness(client), lambda found: not found)
        await until_on_time(built.url)
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()
        logged = built.replicas[0].logged
        await owner.close()

    print(
        f"privilege revoked: /readyz after {said_after:.0f} s, firing stopped {stopped_after:.0f} s"
    )
    print(f"  {reason}\n  {report}\n  audit: {said.strip()}")
    print(f"  {len(logged.splitlines())} log lines, {len(logged)} bytes")
    assert "partitions" in reason
    assert "lacks a privilege (42501)" in reason
    assert logged.count('"job_failed"') < 5
    assert "permission denied for schema public (42501)" in logged
    assert report.is_clean
    assert report.fired == report.planned
    assert code == 0


async def unreadiness(client: httpx.AsyncClient) -> str:
    answer = await client.get("/readyz")
    return "" if answer.status_code == 200 else str(answer.json()["detail"])
