"""Stops all replicas for a minute: missed instants are caught up by each trigger's policy."""

import asyncio
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.faults.checker import Grid, check
from tests.faults.site import Site, count_events, make, site, until_on_time
from tests.support.databases import connect
from tests.support.downtime import instants_of
from tests.support.planting import plant_triggers
from tests.support.waiting import eventually

REPLICAS = 2
AWAY = 60.0  # seconds
SECOND = timedelta(seconds=1)
GRACE = 5 * SECOND
STEPS = {"PT1S": SECOND, "PT7S": 7 * SECOND}


@dataclass(frozen=True)
class Watched:
    """A trigger with its catch-up policy and its grid."""

    id: int
    catch_up: str
    grid: Grid


async def test_after_a_minute_without_replicas_each_instant_fires_or_is_explained() -> None:
    async with site() as built:
        await built.start(REPLICAS)
        watched = await make_triggers(built)
        await asyncio.sleep(4)
        for number in range(REPLICAS):
            built.kill(number)
        down = datetime.now(UTC)
        await asyncio.sleep(AWAY)
        back = datetime.now(UTC)
        await built.start(REPLICAS)
        await until_on_time(built.url)

        outcomes = [await outcomes_of(built, one, down=down, back=back) for one in watched]
        await built.end()
        report = await check(built.url, {one.id: one.grid for one in watched})
        code, said = built.audit()

    print(f"all replicas away for {back - down}:\n  {report}\n  audit: {said.strip()}")
    for one, found in zip(watched, outcomes, strict=True):
        print(f"  {one.catch_up:6} every {one.grid.step}: {dict(found)}")
        expect(one, found)
    assert report.is_clean
    assert code == 0


async def make_triggers(built: Site) -> list[Watched]:
    found = []
    async with built.client() as client:
        for catch_up in ("all", "latest", "none"):
            for text, step in STEPS.items():
                details = {"interval": text, "recurring": True, "catch_up": catch_up}
                made = await make(client, details)
                first = datetime.fromisoformat(made["created_at"]) + step
                found.append(Watched(made["id"], catch_up, Grid(first, step)))
            made = await make(client, {"cron": "* * * * *", "catch_up": catch_up})
            first = datetime.fromisoformat(made["next_fire_at"])
            found.append(Watched(made["id"], catch_up, Grid(first, 60 * SECOND)))
            made = await make(client, {"interval": "PT30S", "catch_up": catch_up})
            first = datetime.fromisoformat(made["next_fire_at"])
            found.append(Watched(made["id"], catch_up, Grid(first, None)))
    return found


async def outcomes_of(built: Site, one: Watched, *, down: datetime, back: datetime) -> Counter[str]:
    """Counts the outcomes that `explain` gives for the instants of the downtime.

    The last GRACE of it is left out: an instant as young as that counts as late, not missed.
    """
    connection = await connect(built.url)
    fired = await instants_of(connection, one.id)
    await connection.close()
    away = [at for at in one.grid.until(back - GRACE) if at > down + SECOND]
    outcomes: Counter[str] = Counter()
    async with built.client(REPLICAS) as client:
        for instant in away:
            explained = await explain(client, one.id, instant)
            assert (explained["outcome"] == "fired") is (instant in fired), explained
            outcomes[explained["outcome"]] += 1
    return outcomes


async def explain(client: Any, trigger_id: int, instant: datetime) -> dict[str, Any]:
    at = instant.isoformat().replace("+00:00", "Z")
    answer = await client.get(f"/triggers/{trigger_id}/explain", params={"at": at})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    assert found["scheduled_for"] == at
    assert found["reason"]
    return found


def expect(one: Watched, found: Counter[str]) -> None:
    assert found, "nothing fell into the time away"
    match one.catch_up:
        case "all":
            assert set(found) == {"fired"}
        case "latest":
            assert found["fired"] <= 1
            assert set(found) <= {"fired", "coalesced"}
            assert found["fired"] or one.grid.step is not None
        case "none":
            assert set(found) == {"missed"}


async def test_a_storm_that_is_ended_half_way_is_fired_to_its_end_by_the_next_process() -> None:
    count = 60_000
    async with site() as built:
        database = await connect(built.url)
        await plant_triggers(database, count, due_at=datetime.now(UTC) - SECOND)
        await built.start(1)
        await eventually(lambda: count_events(built.url), lambda some: some > 0)
        code = await built.replicas[0].end()
        before = await count_events(built.url)
        built.restart(0)
        await eventually(lambda: count_events(built.url), lambda some: some >= count)
        apart = await database.fetchval("SELECT count(DISTINCT trigger_id) FROM events")
        everything = await count_events(built.url)
        await database.close()

    print(f"a storm of {count:,}: {before:,} were fired when the process ended")
    assert code == 0
    assert 0 < before < count
    assert apart == everything == count
