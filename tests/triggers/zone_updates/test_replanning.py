"""Triggers are planned again at start, once, by newer zone rules on record or on this machine."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from event_trigger.triggers.schedule.zone_rules import Rules
from tests.support.heartbeats import make_heartbeat, ping
from tests.support.processes import run, with_database
from tests.support.services import ADA, running_service
from tests.support.triggers import instant, make_scheduled, read
from tests.support.waiting import eventually
from tests.support.zones import make_zones, zone_file

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


async def put_on_record(
    database: Any, zone: str, version: str, offset: timedelta, *, planned: bool = False
) -> None:
    """Plays a replica that has other rules than this machine."""
    rules = Rules.read(zone, version, zone_file(offset))
    await database.execute(
        "INSERT INTO zone_rules (digest, zone, version, data, planned_at)"
        " VALUES ($1, $2, $3, $4, CASE WHEN $5 THEN now() END)",
        *(rules.digest, zone, version, rules.data, planned),
    )


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def answer(client: httpx.AsyncClient, path: str, **query: str) -> dict[str, Any]:
    got = await client.get(path, params=query)
    assert got.status_code == 200, got.text
    found: dict[str, Any] = got.json()
    return found


async def make_daily(database_url: str, database: Any, zone: str) -> dict[str, Any]:
    """Makes a trigger that fires daily at 09:00 in a zone of one hour ahead of UTC."""
    await put_on_record(database, zone, "2090a", HOUR, planned=True)
    async with running_service(database_url) as service:
        details = {"cron": "0 9 * * *", "timezone": zone}
        return await make_scheduled(service.client(ADA), details)


async def test_a_start_with_newer_rules_plans_again_and_keeps_both_plans_on_record(
    database_url: str, database: Any
) -> None:
    made = await make_daily(database_url, database, "Test/Start")
    planned = instant(made["next_fire_at"])
    assert planned.hour == 8
    await put_on_record(database, "Test/Start", "2090b", -2 * HOUR)

    async with running_service(database_url) as service:
        ada = service.client(ADA)
        moved = await read(ada, made["id"])
        path = f"/triggers/{made['id']}/explain"
        before = await answer(ada, path, at=text(planned))
        after = await answer(ada, path, at=moved["next_fire_at"])
        account = await answer(ada, f"/triggers/{made['id']}/accounting")

    assert instant(moved["next_fire_at"]).hour == 11
    assert before["outcome"] == "not_scheduled"
    assert "By the zone's rules of 2090a it was planned, until those of 2090b" in before["reason"]
    assert (after["outcome"], after["schedule"]["version"]) == ("pending", 2)
    assert after["schedule"]["zone_rules"] == "2090b"
    assert account["balanced"], account


async def test_each_kind_of_local_time_goes_on_by_newer_rules(
    database_url: str, database: Any
) -> None:
    await put_on_record(database, "Test/Kinds", "2090a", HOUR, planned=True)
    begin = {"time": "2026-01-01T09:00", "timezone": "Test/Kinds"}
    kinds: list[dict[str, Any]] = [
        {"cron": ["0 9 * * *", "@yearly"], "timezone": "Test/Kinds", "spread": "PT1H"},
        {"interval": "P1D", "recurring": True, **begin},
        {"rrule": "FREQ=DAILY", **begin, "except": ["2090-01-01"]},
        {**begin, "time": "2090-01-02T09:00"},
    ]
    async with running_service(database_url) as service:
        made = [await make_scheduled(service.client(ADA), one) for one in kinds]
    await put_on_record(database, "Test/Kinds", "2090b", -2 * HOUR)

    async with running_service(database_url) as service:
        ada = service.client(ADA)
        moved = [await read(ada, one["id"]) for one in made]
        history = await answer(ada, f"/triggers/{made[0]['id']}/versions")

    moves = [
        instant(after["next_fire_at"]) - instant(before["next_fire_at"])
        for before, after in zip(made, moved, strict=True)
    ]
    assert [one % DAY for one in moves] == [3 * HOUR] * 4
    assert moves[-1] == 3 * HOUR
    assert [one["ended_by"] for one in history["schedules"]] == [None, "zone_rules"]
    assert {one["words"] for one in history["schedules"]} == {moved[0]["words"]}


async def test_several_replicas_at_once_plan_again_only_once(
    database_url: str, database: Any
) -> None:
    made = await make_daily(database_url, database, "Test/Once")
    await put_on_record(database, "Test/Once", "2090b", -2 * HOUR)

    async def serve() -> int:
        async with running_service(database_url) as service:
            await asyncio.sleep(0)
            client = service.client(ADA)
            return int((await client.get(f"/triggers/{made['id']}")).status_code)

    assert [*await asyncio.gather(serve(), serve())] == [200, 200]
    assert await serve() == 200
    versions = await database.fetch("SELECT version, moved_to IS NOT NULL FROM schedule_versions")
    assert [tuple(row) for row in versions] == [(1, True)]
    assert await database.fetchval("SELECT count(*) FROM zone_rules WHERE planned_at IS NULL") == 0


async def test_a_replica_that_runs_goes_by_newer_rules_as_soon_as_it_sees_them(
    database_url: str, database: Any
) -> None:
    await put_on_record(database, "Test/Running", "2090a", HOUR, planned=True)
    async with running_service(database_url) as service:
        ada = service.client(ADA)
        details = {"cron": "0 9 * * *", "timezone": "Test/Running"}
        made = await make_scheduled(ada, details)

        await put_on_record(database, "Test/Running", "2090b", -2 * HOUR)

        moved = await eventually(
            lambda: read(ada, made["id"]),
            lambda found: found["next_fire_at"] != made["next_fire_at"],
        )
        again = await make_scheduled(ada, details)
    assert instant(moved["next_fire_at"]).hour == instant(again["next_fire_at"]).hour == 11


async def test_a_plan_by_older_rules_that_comes_due_does_not_fire_by_them(
    database_url: str, database: Any
) -> None:
    made = await make_daily(database_url, database, "Test/Stale")
    now = datetime.now(UTC)
    past = (now - 30 * timedelta(minutes=1)).replace(minute=7, second=0, microsecond=0)
    async with running_service(database_url) as service:
        # as a replica of before would leave it
        await database.execute(
            "UPDATE triggers SET next_fire_at = $2 WHERE id = $1", made["id"], past
        )
        moved = await eventually(
            lambda: read(service.client(ADA), made["id"]),
            lambda found: instant(found["next_fire_at"]) > now,
        )

    assert moved["next_fire_at"] == made["next_fire_at"]
    assert await database.fetchval("SELECT count(*) FROM events") == 0


@pytest.mark.xdist_group("processes")
async def test_tzdata_lists_what_moves_before_the_start_and_after(
    database_url: str, database: Any, folder: Path
) -> None:
    made = await make_daily(database_url, database, "Test/Listed")
    other = await make_daily(database_url, database, "Test/Still")
    zones = {"Test/Listed": zone_file(-2 * HOUR), "Test/Still": zone_file(HOUR)}
    settings = with_database(database_url) | make_zones(folder / "zones", "2090b", zones)

    before = run(folder, "tzdata", **settings)
    await put_on_record(database, "Test/Listed", "2090b", -2 * HOUR)
    async with running_service(database_url) as service:
        moved = await read(service.client(ADA), made["id"])
    after = run(folder, "tzdata", **settings)

    line = (
        f"trigger {made['id']}: 0 9 * * * Test/Listed (2090a → 2090b):"
        f" {made['next_fire_at']} → {moved['next_fire_at']}"
    )
    assert before.stdout.splitlines()[1:] == [
        *(line, "Triggers that move at the next start: 1; only within a year of it: 0."),
        "Triggers that moved, as far as is on record: 0.",
    ]
    assert after.stdout.splitlines()[1:] == [
        "Triggers that move at the next start: 0; only within a year of it: 0.",
        *(line, "Triggers that moved, as far as is on record: 1."),
    ]
    assert f"trigger {other['id']}" not in before.stdout + after.stdout


@pytest.mark.xdist_group("processes")
async def test_deadlines_of_heartbeats_move_at_a_start_with_newer_rules_and_tzdata_lists_them(
    database_url: str, database: Any, folder: Path
) -> None:
    for zone in ("Test/Pings", "Test/Later"):
        await put_on_record(database, zone, "2090a", HOUR, planned=True)
    details = {"cron": "0 9 * * *", "grace": "PT10M"}
    async with running_service(database_url) as service:
        ada = service.client(ADA)
        made, later, waiting = [
            await make_heartbeat(ada, {**details, "timezone": zone})
            for zone in ("Test/Pings", "Test/Later", "Test/Pings")
        ]
        for one in (made, later):
            await ping(ada, one)
        before = await read(ada, made["id"])
        stays = await read(ada, later["id"])
    in_a_month = zone_file(HOUR, (datetime.now(UTC) + 30 * DAY, -2 * HOUR))
    zones = {"Test/Pings": zone_file(-2 * HOUR), "Test/Later": in_a_month}
    settings = with_database(database_url) | make_zones(folder / "zones", "2090b", zones)

    listed = run(folder, "tzdata", **settings)
    await put_on_record(database, "Test/Pings", "2090b", -2 * HOUR)
    async with running_service(database_url) as service:
        ada = service.client(ADA)
        after = await read(ada, made["id"])
        stayed = await read(ada, later["id"])
        account = await answer(ada, f"/triggers/{made['id']}/accounting")

    assert [instant(one["next_fire_at"]).hour for one in (before, after)] == [8, 11]
    assert stayed["next_fire_at"] == stays["next_fire_at"]
    first, second, *rest = listed.stdout.splitlines()[1:]
    assert first == (
        f"trigger {made['id']}: deadline of the heartbeat 0 9 * * * Test/Pings (2090a → 2090b):"
        f" {before['next_fire_at']} → {after['next_fire_at']}"
    )
    assert second.startswith(f"trigger {later['id']}: ping of the heartbeat 0 9 * * * Test/Later")
    assert rest == [
        "Triggers that move at the next start: 1; only within a year of it: 1.",
        "Triggers that moved, as far as is on record: 0.",
    ]
    assert f"trigger {waiting['id']}" not in listed.stdout
    assert account["balanced"], account


@pytest.mark.parametrize("zone", ["America/Vancouver"])
async def test_what_a_version_planned_that_kept_no_rules_is_planned_where_it_is_now(
    database_url: str, database: Any, zone: str
) -> None:
    async with running_service(database_url) as service:
        details = {"cron": "0 9 * * *", "timezone": zone}
        made = await make_scheduled(service.client(ADA), details)
    late = instant(made["next_fire_at"]) + HOUR
    await database.execute("DELETE FROM zone_rules")
    await database.execute("UPDATE triggers SET zone_rules = NULL, next_fire_at = $1", late)

    async with running_service(database_url) as service:
        moved = await read(service.client(ADA), made["id"])

    assert moved["next_fire_at"] == made["next_fire_at"]
