"""Due triggers fire once, on their grid, through failures of replicas, rows and connections."""

import json
from collections import Counter
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from tests.support.databases import connect
from tests.support.downtime import earlier
from tests.support.due import FAIL, SUCCEED
from tests.support.locks import lock_row
from tests.support.one_server import one_server
from tests.support.outages import cable_to
from tests.support.planting import HOURLY, plant_triggers
from tests.support.reading import read_all
from tests.support.services import ADA, BOB, Service, running_service
from tests.support.triggers import instant
from tests.support.waiting import eventually

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


async def create(client: httpx.AsyncClient, details: dict[str, Any], **more: Any) -> dict[str, Any]:
    body = {"type": "scheduled", "details": details, **more}
    answer = await client.post("/triggers", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def trigger_of(database: Any, trigger_id: int) -> dict[str, Any]:
    return dict(await database.fetchrow("SELECT * FROM triggers WHERE id = $1", trigger_id))


async def events_of(database: Any, trigger_id: int) -> list[dict[str, Any]]:
    rows = await database.fetch(
        "SELECT * FROM events WHERE trigger_id = $1 ORDER BY id", trigger_id
    )
    return [dict(row) for row in rows]


async def fired(database: Any) -> Counter[int]:
    return Counter(
        {
            row["trigger_id"]: row["n"]
            for row in await database.fetch(
                "SELECT trigger_id, count(*) AS n FROM events GROUP BY trigger_id"
            )
        }
    )


async def until_fired(database: Any, trigger_id: int, times: int = 1) -> list[dict[str, Any]]:
    return await eventually(
        lambda: events_of(database, trigger_id), lambda events: len(events) >= times
    )


async def test_each_instant_becomes_one_event_however_many_replicas_run(database_url: str) -> None:
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(running_service(database_url)) for _ in range(3)
        ]
        ada = replicas[0].client(ADA)
        details = {"interval": "PT1S", "recurring": True, "max_fires": 3}
        every_second = [await create(one.client(ADA), details) for one in replicas]
        once = await create(replicas[1].client(ADA), {"interval": "PT2S"})

        await eventually(
            lambda: read_all(ada, "/triggers"),
            lambda triggers: {one["status"] for one in triggers} == {"completed"},
        )
        events = await read_all(ada, "/events")

    instants = {
        trigger["id"]: [
            instant(trigger["created_at"]) + timedelta(seconds=number) for number in numbers
        ]
        for trigger, numbers in [*((one, (1, 2, 3)) for one in every_second), (once, (2,))]
    }
    seen = [(one["trigger_id"], instant(one["scheduled_for"])) for one in events]
    assert sorted(seen) == sorted((number, at) for number in instants for at in instants[number])
    assert all(instant(one["triggered_at"]) >= instant(one["scheduled_for"]) for one in events)


async def test_more_than_a_batch_in_one_shard_fires_all_exactly_once(
    database_url: str, database: Any
) -> None:
    planted = await plant_triggers(database, 1300)
    planted += await plant_triggers(database, 200, owner_id=BOB)

    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(running_service(database_url))
        await eventually(lambda: fired(database), lambda counts: counts.total() >= len(planted))

    assert await fired(database) == Counter(planted)
    assert await database.fetchval("SELECT array_agg(DISTINCT fire_count) FROM triggers") == [1]
    assert await database.fetchval("SELECT min(next_fire_at) > now() FROM triggers")


async def test_a_batch_of_the_largest_payloads_fires(database_url: str, database: Any) -> None:
    planted = await plant_triggers(database, 1000)  # a GiB, more than one message may have
    await database.execute(
        "UPDATE triggers SET payload = json_build_object('x', repeat('x', 1048000))"
    )

    async with running_service(database_url):
        await eventually(lambda: fired(database), lambda counts: counts.total() >= len(planted))

    assert await fired(database) == Counter(planted)
    assert await database.fetchval("SELECT count(payload) FROM events") == len(planted)


async def test_after_downtime_only_the_newest_missed_instant_fires(database_url: str) -> None:
    database = await connect(database_url)
    async with running_service(database_url) as service:
        trigger = await create(service.client(ADA), HOURLY)
    await database.execute(
        "UPDATE triggers SET "
        + earlier("anchor_at", "next_fire_at", by="interval '5 hours 30 minutes'")
    )

    async with running_service(database_url):
        events = await until_fired(database, trigger["id"])
        stored = await trigger_of(database, trigger["id"])
    await database.close()

    newest = instant(trigger["created_at"]) - timedelta(minutes=30)
    assert [one["scheduled_for"] for one in events] == [newest]
    assert stored["next_fire_at"] == newest + HOUR
    assert stored["fire_count"] == 1


async def test_an_instant_missed_by_more_than_a_day_never_fires(
    database_url: str, database: Any
) -> None:
    at = datetime.now(UTC) - timedelta(hours=25)
    [once] = await plant_triggers(database, details={"time": at.isoformat()}, due_at=at)
    every_other_day = {"time": at.isoformat(), "interval": "P2D", "recurring": True}
    [rare] = await plant_triggers(database, details=every_other_day, due_at=at)

    async with running_service(database_url):
        await eventually(
            lambda: trigger_of(database, once), lambda trigger: trigger["status"] == "completed"
        )
        moved_on = await eventually(
            lambda: trigger_of(database, rare), lambda trigger: trigger["next_fire_at"] != at
        )

    assert await fired(database) == Counter()
    assert moved_on["next_fire_at"] == at + timedelta(days=2)
    assert (moved_on["status"], moved_on["fire_count"]) == ("active", 0)


async def test_a_one_time_trigger_missed_within_a_day_fires_once(
    database_url: str, database: Any
) -> None:
    at = datetime.now(UTC) - timedelta(hours=23)
    [once] = await plant_triggers(database, details={"time": at.isoformat()}, due_at=at)

    async with running_service(database_url):
        events = await until_fired(database, once)
        stored = await trigger_of(database, once)

    assert [one["scheduled_for"] for one in events] == [at]
    assert (stored["status"], stored["next_fire_at"]) == ("completed", None)


async def test_nothing_fires_after_until(database_url: str, database: Any) -> None:
    start = datetime.now(UTC) - 3 * HOUR
    until = start + 1.5 * HOUR
    details = HOURLY | {"time": start.isoformat(), "until": until.isoformat()}
    [trigger] = await plant_triggers(database, details=details, due_at=start)

    async with running_service(database_url):
        events = await until_fired(database, trigger)
        stored = await trigger_of(database, trigger)

    assert [one["scheduled_for"] for one in events] == [start + HOUR]
    assert (stored["status"], stored["next_fire_at"]) == ("completed", None)


async def test_max_fires_counts_scheduled_firings_only(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    details = {"interval": "PT1S", "recurring": True, "max_fires": 2}
    trigger = await create(ada, details)
    for how in ("trigger", "test", "trigger"):
        await ada.post(f"/triggers/{trigger['id']}/{how}")

    stored = await eventually(
        lambda: trigger_of(database, trigger["id"]), lambda one: one["status"] == "completed"
    )
    events = await events_of(database, trigger["id"])
    [warning] = (await ada.get(f"/triggers/{trigger['id']}")).json()["warnings"]

    assert Counter(one["type"] for one in events) == Counter(scheduled=2, api=3)
    assert (stored["next_fire_at"], stored["fire_count"]) == (None, 4)
    assert "no longer fires" in warning


@pytest.mark.parametrize(
    "details",
    [
        '{"interval": "soon", "recurring": true}',
        '{"cron": "* * * * *", "timezone": "Mars/Olympus"}',
        "{}",
        "[]",
        "null",
        '"PT1S"',
        "[" * 3000 + "]" * 3000,
    ],
)
async def test_a_trigger_that_cannot_be_read_is_set_aside_and_holds_up_no_other(
    database_url: str, database: Any, details: str
) -> None:
    [broken] = await plant_triggers(database, due_at=datetime.now(UTC) - HOUR)
    sound = await plant_triggers(database, 3)
    await database.execute("UPDATE triggers SET details = $1 WHERE id = $2", details, broken)

    async with running_service(database_url):
        await eventually(lambda: fired(database), lambda counts: counts == Counter(sound))
        stored = await eventually(
            lambda: trigger_of(database, broken), lambda one: one["status"] == "paused"
        )

    assert (stored["status"], stored["next_fire_at"]) == ("paused", None)
    assert "set aside" in stored["error"]


async def test_a_trigger_set_aside_fires_again_after_its_repair(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await create(ada, HOURLY)
    path = f"/triggers/{trigger['id']}"
    spoil = 'UPDATE triggers SET details = \'{"interval": "soon"}\', next_fire_at = now()'
    await database.execute(spoil)
    set_aside = await eventually(lambda: read(ada, path), lambda one: one["status"] == "paused")
    assert set_aside["error"]

    repaired = await ada.patch(path, json={"details": {"interval": "PT1S", "recurring": True}})
    resumed = await ada.post(f"{path}/resume")

    assert (repaired.status_code, repaired.json()["error"]) == (200, None)
    assert (resumed.status_code, resumed.json()["status"]) == (200, "active")
    assert await until_fired(database, trigger["id"])


async def test_a_trigger_that_cannot_be_repaired_stays_set_aside_on_resume(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await create(ada, HOURLY)
    path = f"/triggers/{trigger['id']}"
    spoil = 'UPDATE triggers SET details = \'{"interval": "soon"}\', next_fire_at = now()'
    await database.execute(spoil)
    await eventually(lambda: read(ada, path), lambda one: one["status"] == "paused")

    resumed = await ada.post(f"{path}/resume")

    assert resumed.status_code == 422
    assert (await read(ada, path))["error"]


async def read(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_trigger_whose_event_is_refused_is_set_aside_and_holds_up_no_other(
    database_url: str, database: Any
) -> None:
    [refused] = await plant_triggers(database, due_at=datetime.now(UTC) - HOUR)
    sound = await plant_triggers(database, 3)
    await database.execute(FAIL.format(code="P0001", trigger_id=refused))

    async with running_service(database_url):
        await eventually(lambda: fired(database), lambda counts: counts == Counter(sound))
        stored = await eventually(
            lambda: trigger_of(database, refused), lambda one: one["status"] == "paused"
        )

    assert stored["next_fire_at"] is None
    assert "set aside" in stored["error"]
    assert stored["fire_count"] == 0


@one_server("it has database triggers, which distributed tables cannot have")
async def test_a_shard_that_the_database_cannot_serve_holds_up_no_other(
    database_url: str, database: Any
) -> None:
    [stuck] = await plant_triggers(database, owner_id=ADA, due_at=datetime.now(UTC) - MINUTE)
    sound = await plant_triggers(database, 3, owner_id=BOB)
    await database.execute(FAIL.format(code="55P03", trigger_id=stuck))

    async with running_service(database_url):
        await eventually(lambda: fired(database), lambda counts: counts == Counter(sound))
        await database.execute(SUCCEED)
        events = await until_fired(database, stuck)

    assert len(events) == 1


async def test_a_locked_trigger_holds_up_only_itself_and_fires_once_released(
    database_url: str, database: Any
) -> None:
    [locked] = await plant_triggers(database, due_at=datetime.now(UTC) - MINUTE)
    sound = await plant_triggers(database, 3)
    holder = await connect(database_url)
    transaction = holder.transaction()
    await transaction.start()
    await lock_row(holder, "triggers", locked, strength="UPDATE")

    async with running_service(database_url):
        await eventually(lambda: fired(database), lambda counts: counts == Counter(sound))
        await transaction.rollback()
        await until_fired(database, locked)
    await holder.close()

    assert await fired(database) == Counter([locked, *sound])


async def test_a_new_trigger_wakes_a_dispatcher_that_waits_for_a_later_one(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    await create(ada, HOURLY)

    sooner = await create(ada, {"interval": "PT1S"})
    events = await until_fired(database, sooner["id"])

    assert [one["scheduled_for"] for one in events] == [instant(sooner["next_fire_at"])]


LISTENERS = """
    SELECT array_agg(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query ILIKE 'LISTEN %'
"""


async def test_the_listener_comes_back_when_its_connection_ends(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    before = await eventually(lambda: database.fetchval(LISTENERS), bool)

    await database.execute("SELECT pg_terminate_backend($1::int)", before[0])
    after = await eventually(
        lambda: database.fetchval(LISTENERS), lambda found: bool(found) and found != before
    )
    soon = await create(ada, {"interval": "PT1S"})

    assert len(after) == 1
    assert await until_fired(database, soon["id"])


async def test_the_listener_comes_back_when_its_connection_ends_before_it_has_heard_of_all(
    database_url: str, database: Any
) -> None:
    with capture_logs() as logged:
        async with cable_to(database_url) as (cable, url):
            cable.last_word = b"LISTEN"
            async with running_service(url):
                await eventually(
                    lambda: database.fetchval(LISTENERS), lambda _: "listen_failed" in str(logged)
                )
                await eventually(lambda: database.fetchval(LISTENERS), lambda found: not found)
                after = await eventually(lambda: database.fetchval(LISTENERS), bool)

    assert len(after) == 1


async def test_firing_goes_on_when_the_database_ends_every_connection(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await create(ada, {"interval": "PT1S", "recurring": True})
    before = await until_fired(database, trigger["id"])

    await database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    events = await until_fired(database, trigger["id"], len(before) + 2)

    instants = [one["scheduled_for"] for one in events]
    assert len(set(instants)) == len(instants)


async def test_an_event_has_the_payload_of_its_trigger(
    service: Service, ada: httpx.AsyncClient
) -> None:
    payloads: list[dict[str, Any] | None] = [
        None,
        {},
        {"grüße": "日本語 🎉", "nested": {"list": [1, 2.5, None, True, {"deep": [[]]}]}},
        {"large": 2**70, "small": 1e-300, "empty": "", "zero": 0, "b": 1, "a": 2},
    ]
    planned = {
        (await create(ada, {"interval": "PT1S"}, payload=payload))["id"]: payload
        for payload in payloads
    }

    events = await eventually(lambda: read_all(ada, "/events"), lambda found: len(found) == 4)

    seen = {one["trigger_id"]: one["payload"] for one in events}
    assert seen == planned
    assert json.dumps([seen[one] for one in planned]) == json.dumps(payloads)  # the order too
