"""`verify` says whether everything adds up, and else names the trigger and the instant."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.reconciliation.verify import MAX_SHOWN, Verification, verify
from tests.support.commands import Here
from tests.support.downtime import instants_of, set_back, until_caught_up
from tests.support.processes import with_database
from tests.support.triggers import change, make_api, make_scheduled

SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
DETAILS = {"interval": 1, "recurring": True, "catch_up": "all"}


async def audited(database_url: str) -> Verification:
    engine = create_engine(database_url)
    found = await verify(create_sessions(engine), keep_for=timedelta(hours=48))
    await engine.dispose()
    return found


@pytest.fixture
async def fired(ada: httpx.AsyncClient, database: Any) -> int:
    """Gives the id of a trigger that fired 30 times, among triggers of other kinds."""
    await make_api(ada)
    await make_scheduled(ada)
    ids = [(await make_scheduled(ada, DETAILS))["id"] for _ in range(2)]
    for trigger_id in ids:
        await set_back(database, trigger_id, 30 * MINUTE + SECOND)
    await until_caught_up(database, *ids)
    return int(ids[0])


async def test_it_adds_up_across_edits_and_deletions(
    fired: int, ada: httpx.AsyncClient, database_url: str
) -> None:
    await change(ada, fired, {"details": {"interval": 2}})
    await ada.delete(f"/triggers/{fired}")

    found = await audited(database_url)

    assert found.adds_up
    assert found.findings == []
    assert found.summary() == "3 triggers, 60 planned instants: 60 fired, 0 pending. It adds up."


async def test_a_lost_event_is_named_with_its_trigger_and_instant_and_fails_the_command(
    fired: int, database_url: str, database: Any, here: Here
) -> None:
    lost = (await instants_of(database, fired))[7]
    await database.execute(
        "DELETE FROM events WHERE trigger_id = $1 AND scheduled_for = $2", fired, lost
    )

    ended = await asyncio.to_thread(here, "verify", **with_database(database_url))

    assert ended.code == 1
    at = lost.isoformat().replace("+00:00", "Z")
    assert ended.out.splitlines() == [
        f"trigger {fired}: neither an event nor a reason for {at}",
        "3 triggers, 60 planned instants: 59 fired, 0 pending. Differences: 1.",
    ]


async def test_each_kind_of_difference_is_a_sentence(
    fired: int, ada: httpx.AsyncClient, database_url: str, database: Any
) -> None:
    instants = await instants_of(database, fired)
    columns = "shard, owner_id, trigger_id, type, triggered_at, is_test"
    await database.execute(
        f"INSERT INTO events ({columns}, scheduled_for)"
        f" SELECT {columns}, scheduled_for"
        " FROM events WHERE trigger_id = $1 AND scheduled_for = $2",
        fired,
        instants[3],
    )
    await database.execute(
        f"INSERT INTO events ({columns}, scheduled_for)"
        f" SELECT {columns}, scheduled_for - interval '1 s'"
        " FROM events WHERE trigger_id = $1 AND scheduled_for = $2",
        fired,
        instants[9],
    )
    await database.execute(
        "INSERT INTO unfired_ranges"
        " (shard, owner_id, trigger_id, version, first_at, last_at, count, reason)"
        " SELECT shard, owner_id, id, version, $2, $3, 5, 'missed' FROM triggers WHERE id = $1",
        fired,
        instants[20],
        instants[21],
    )

    found = await audited(database_url)

    said = "\n".join(found.findings)
    for words in (
        "2 events for",
        "an event that no schedule planned",
        "on record as not fired, but also as fired or as not fired twice",
        "on record as not fired, but not as the schedule plans it: 5 instants from",
    ):
        assert words in said


async def test_a_schedule_that_cannot_be_read_does_not_add_up(
    fired: int, database_url: str, database: Any
) -> None:
    await database.execute("UPDATE triggers SET details = '{}' WHERE id = $1", fired)

    found = await audited(database_url)

    assert not found.adds_up
    assert "can no longer be read" in found.findings[0]


async def test_many_differences_of_one_trigger_are_cut_short(
    ada: httpx.AsyncClient, database_url: str, database: Any
) -> None:
    made = await make_scheduled(ada, DETAILS)
    await set_back(database, made["id"], 60 * MINUTE + SECOND)
    await until_caught_up(database, made["id"])
    for lost in (await instants_of(database, made["id"]))[::2]:
        await database.execute("DELETE FROM events WHERE scheduled_for = $1", lost)

    found = await audited(database_url)

    assert len(found.totals.differences) == 30
    assert len(found.findings) == MAX_SHOWN + 1
    assert found.findings[-1] == f"trigger {made['id']}: and 10 more"


def test_a_database_without_tables_is_told_to_be_migrated(here: Here, empty_url: str) -> None:
    ended = here("verify", **with_database(empty_url))

    assert ended.code == 1
    assert "migrate" in ended.err
