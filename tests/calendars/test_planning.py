"""A changed calendar plans the triggers that name it again, in the same transaction."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from event_trigger.calendars.extending import CalendarExtension
from event_trigger.db.engine import create_engine, create_sessions
from tests.support.calendars import ics_file, many_dates, put_calendar
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, Service
from tests.support.triggers import change, make_scheduled, read
from tests.support.waiting import eventually

NAMED = [{"calendar": "closed"}]
FROM = {"cron": "0 9 * * *", "from": "2099-03-01T00:00:00Z"}
DETAILS = {**FROM, "except": NAMED}
NOON = "2099-03-01T12:00:00Z"
YEARLY = ics_file("DTSTART:20200301\r\nRRULE:FREQ=YEARLY")
A_YEAR_AGO = """
    UPDATE calendars SET expanded_in = expanded_in - 1, dates = trim_array(dates, 1),
        covers_until = covers_until - 365
    WHERE expanded_in IS NOT NULL
"""


def days(*numbers: int) -> list[str]:
    return [f"2099-03-{number:02}" for number in numbers]


@asynccontextmanager
async def extension(database_url: str, **options: int) -> AsyncIterator[CalendarExtension]:
    engine = create_engine(database_url)
    try:
        yield CalendarExtension(create_sessions(engine), **options)
    finally:
        await engine.dispose()


async def next_of(client: httpx.AsyncClient, trigger_id: int) -> str | None:
    found: str | None = (await read(client, trigger_id))["next_fire_at"]
    return found


async def test_triggers_follow_their_calendars(ada: httpx.AsyncClient, database: Any) -> None:
    await put_calendar(ada, "closed", *days(1, 2))
    await put_calendar(ada, "own", *days(3))
    one = await make_scheduled(ada, DETAILS, key="one")
    both = await make_scheduled(ada, {**FROM, "except": [*NAMED, {"calendar": "own"}, *days(4)]})
    other = await make_scheduled(ada, FROM)
    paused = await make_scheduled(ada, DETAILS)
    await ada.post(f"/triggers/{paused['id']}/pause")
    before = [one["next_fire_at"], both["next_fire_at"], other["next_fire_at"]]
    tag = (await ada.get(f"/triggers/{one['id']}")).headers["etag"]

    await put_calendar(ada, "closed", *days(2))
    freed = [await next_of(ada, row["id"]) for row in (one, both, other)]
    await put_calendar(ada, "closed", *days(1, 2, 5))
    taken = [await next_of(ada, row["id"]) for row in (one, both, other)]
    await put_calendar(ada, "closed", *days(5, 2, 1))  # the same content again
    await ada.post(f"/triggers/{paused['id']}/resume")

    versions = await database.fetch(
        "SELECT version, excluded_days FROM schedule_versions WHERE trigger_id = $1 ORDER BY 1",
        one["id"],
    )
    assert before == [f"2099-03-0{n}T09:00:00Z" for n in (3, 5, 1)]
    assert freed == [f"2099-03-0{n}T09:00:00Z" for n in (1, 1, 1)]
    assert taken == [f"2099-03-0{n}T09:00:00Z" for n in (3, 6, 1)]
    assert await next_of(ada, paused["id"]) == "2099-03-03T09:00:00Z"
    assert [(row["version"], len(row["excluded_days"])) for row in versions] == [(1, 2), (2, 1)]
    assert (await ada.get(f"/triggers/{one['id']}")).headers["etag"] == tag


async def test_words_name_calendars_by_their_keys(ada: httpx.AsyncClient) -> None:
    await put_calendar(ada, "closed", *days(1, 2))
    await put_calendar(ada, "own", *days(3))
    one = await make_scheduled(ada, DETAILS)
    mixed = {**FROM, "except": [{"calendar": "own"}, *days(5, 4), *NAMED]}
    both = await make_scheduled(ada, mixed, key="both")

    tried = (await ada.post("/schedules/preview", json={"details": mixed})).json()
    shown = (await ada.get(f"/triggers/{both['id']}/schedule")).json()
    history = (await ada.get(f"/triggers/{both['id']}/versions")).json()
    explained = (await ada.get(f"/triggers/{both['id']}/explain", params={"at": NOON})).json()
    listed = (await ada.get("/triggers", params={"key": "both"})).json()

    words = "At 09:00 every day, UTC, from 2099-03-01T00:00:00Z"
    assert one["words"] == f"{words}, but not on the dates of calendar closed"
    assert both["words"] == (
        f"{words}, but not on 2099-03-04 and 2099-03-05, nor on the dates of the calendars own and"
        " closed"
    )
    assert tried["words"] == shown["words"] == both["words"]
    assert history["schedules"][0]["words"] == both["words"]
    assert explained["schedule"]["words"] == both["words"]
    assert listed[0]["words"] == both["words"]


async def test_a_change_warns_of_triggers_that_it_leaves_no_instant(ada: httpx.AsyncClient) -> None:
    await put_calendar(ada, "closed")
    details = {**DETAILS, "until": "2099-03-02T12:00:00Z"}
    kept = await make_scheduled(ada, details)
    deleted = await make_scheduled(ada, details, on_completion="delete")

    some = await ada.put("/calendars/closed", json={"dates": days(1)})
    none = await ada.put("/calendars/closed", json={"dates": days(1, 2)})

    assert some.json()["warnings"] == []
    [warning] = none.json()["warnings"]
    assert f"no instant left: {kept['id']}, {deleted['id']}. " in warning
    assert "deleted within seconds" in warning


async def test_a_calendar_in_use_stays_and_a_trigger_needs_one_that_exists(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await put_calendar(ada, "closed", *days(1))
    await put_calendar(ada, "own")
    trigger = await make_scheduled(ada, DETAILS, key="one")

    used = await ada.delete("/calendars/closed")
    unknown = await ada.post(
        "/triggers", json={"type": "scheduled", "details": {**FROM, "except": [{"calendar": "x"}]}}
    )
    of_others = await bob.post("/triggers", json={"type": "scheduled", "details": DETAILS})
    moved = await change(ada, trigger["id"], {"details": {"except": [{"calendar": "own"}]}})
    gone = await ada.delete("/calendars/closed")
    still_used = await ada.delete("/calendars/own")
    await ada.delete(f"/triggers/{trigger['id']}")
    free = await ada.delete("/calendars/own")

    assert str(trigger["id"]) in problem_of(used, 409)["detail"]
    assert places_of(unknown) == ["#/details/except/0/calendar"]
    assert places_of(of_others) == ["#/details/except/0/calendar"]
    assert moved["next_fire_at"] == "2099-03-01T09:00:00Z"
    assert [gone.status_code, still_used.status_code, free.status_code] == [204, 409, 204]


async def test_a_row_that_an_older_replica_left_does_not_keep_a_trigger_from_its_calendar(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await put_calendar(ada, "closed", *days(1))
    trigger = await make_scheduled(ada, DETAILS)
    left = await database.fetchrow("SELECT * FROM trigger_calendars")
    await change(ada, trigger["id"], {"details": {"except": None}})
    await database.execute(
        "INSERT INTO trigger_calendars (shard, owner_id, calendar_key, trigger_id)"
        " VALUES ($1, $2, $3, $4)",
        *(left[one] for one in ("shard", "owner_id", "calendar_key", "trigger_id")),
    )

    changed = await change(ada, trigger["id"], {"details": {"except": NAMED}})

    assert changed["next_fire_at"] == "2099-03-02T09:00:00Z"


async def test_an_instant_of_a_freed_day_fires_and_one_of_a_taken_day_does_not(
    ada: httpx.AsyncClient, database: Any
) -> None:
    every_day = [str(row["day"]) for row in await database.fetch(_DAYS_AROUND)]
    await put_calendar(ada, "closed", *every_day)
    details = {"interval": "PT1S", "recurring": True, "except": NAMED}
    trigger = await make_scheduled(ada, details)

    await put_calendar(ada, "closed")
    events = await eventually(
        lambda: list_events(ada, trigger["id"]), lambda found: len(found) >= 2
    )
    await put_calendar(ada, "closed", *every_day)
    last = len(await list_events(ada, trigger["id"]))
    account = (await ada.get(f"/triggers/{trigger['id']}/accounting")).json()

    assert trigger["next_fire_at"] > f"{every_day[-1]}T"
    assert len(events) <= last
    assert await next_of(ada, trigger["id"]) == trigger["next_fire_at"]
    assert account["balanced"], account


async def test_calendars_of_one_trigger_that_change_at_once_are_both_followed(
    ada: httpx.AsyncClient, database_url: str, database: Any
) -> None:
    made = await put_calendar(ada, "closed", ics=YEARLY)
    await put_calendar(ada, "own")
    last = date.fromisoformat(made["dates"][-1])
    both = [*NAMED, {"calendar": "own"}]
    details = {"cron": "0 9 * * *", "from": f"{last}T00:00:00Z", "except": both}
    trigger = await make_scheduled(ada, details)
    await database.execute(A_YEAR_AGO)
    await database.execute("UPDATE triggers SET excluded_days = trim_array(excluded_days, 1)")

    async with extension(database_url) as job, locked_trigger(database_url, trigger["id"]):
        extending = asyncio.create_task(job.run())  # takes no lock of the project
        await until_somebody_waits(database)
        putting = asyncio.create_task(put_calendar(ada, "own", str(last + timedelta(days=1))))
        await until_somebody_waits(database, 2)
    await asyncio.gather(extending, putting)

    assert await next_of(ada, trigger["id"]) == f"{last + timedelta(days=2)}T09:00:00Z"


async def test_no_trigger_is_made_with_a_calendar_that_is_being_deleted(
    ada: httpx.AsyncClient,
) -> None:
    body = {"type": "scheduled", "details": DETAILS}
    outcomes = set()
    for _ in range(8):
        await put_calendar(ada, "closed", *days(1))

        made, gone = await asyncio.gather(
            ada.post("/triggers", json=body), ada.delete("/calendars/closed")
        )

        outcomes.add((made.status_code, gone.status_code))
        if made.status_code == 201:
            await ada.delete(f"/triggers/{made.json()['id']}")

    assert outcomes <= {(201, 409), (422, 204)}


async def test_a_new_year_adds_one_to_recurring_events(
    ada: httpx.AsyncClient, database_url: str, database: Any
) -> None:
    made = await put_calendar(ada, "closed", ics=YEARLY)
    await put_calendar(ada, "other", *days(1))
    details = {"cron": "0 9 1 3 *", "from": f"{made['dates'][-1]}T00:00:00Z", "except": NAMED}
    trigger = await make_scheduled(ada, details)
    await database.execute(A_YEAR_AGO)
    await database.execute("UPDATE triggers SET excluded_days = trim_array(excluded_days, 1)")
    before = await ada.get("/calendars/closed")

    async with extension(database_url) as one, extension(database_url) as other:  # two replicas
        await asyncio.gather(one.run(), other.run())

    after = await ada.get("/calendars/closed")
    assert before.json()["dates"] == made["dates"][:-1]
    assert after.json() == {name: one for name, one in made.items() if name != "warnings"}
    assert after.headers["etag"] != before.headers["etag"]
    assert (await read(ada, trigger["id"]))["next_fire_at"] == trigger["next_fire_at"]
    assert await database.fetchval("SELECT count(*) FROM schedule_versions") == 1


_DAYS_AROUND = """
    SELECT CAST(day AS date) FROM
        generate_series(now() - interval '2 days', now() + interval '2 days', '1 day') AS day
"""


async def list_events(client: httpx.AsyncClient, trigger_id: int) -> list[Any]:
    found: list[Any] = (await client.get("/events", params={"trigger_id": trigger_id})).json()
    return found


async def test_the_calendars_of_a_trigger_have_so_many_dates_together(
    ada: httpx.AsyncClient,
) -> None:
    for key, year in (("a", 2100), ("b", 2110), ("c", 2120)):
        await put_calendar(ada, key, *many_dates(year))
    named = [{"calendar": key} for key in ("a", "b", "c")]

    refused = await ada.post(
        "/triggers", json={"type": "scheduled", "details": {**FROM, "except": named}}
    )
    await put_calendar(ada, "c")
    made = await make_scheduled(ada, {**FROM, "except": named})
    larger = await ada.put("/calendars/c", json={"dates": ["2199-01-01"]})

    assert places_of(refused) == ["#/details/except"]
    assert str(made["id"]) in problem_of(larger, 422)["detail"]
    assert (await ada.get("/calendars/c")).json()["dates"] == []


async def test_calendars_that_cannot_be_extended_keep_their_dates_and_let_others_be(
    ada: httpx.AsyncClient, database_url: str, database: Any
) -> None:
    daily = ics_file("DTSTART:20200101\r\nRRULE:FREQ=DAILY;UNTIL=20991231")
    await put_calendar(ada, "full", ics=daily)
    await put_calendar(ada, "broken", ics=YEARLY)
    await put_calendar(ada, "closed", ics=YEARLY)
    for key, year in (("a", 2100), ("b", 2110)):
        await put_calendar(ada, key, *many_dates(year))
    await database.execute(A_YEAR_AGO)
    await database.execute("UPDATE calendars SET dates = '{}' WHERE key = 'full'")
    named = [{"calendar": key} for key in ("full", "a", "b")]
    await make_scheduled(ada, {**FROM, "except": named})
    await database.execute(
        "ALTER TABLE calendars ADD CHECK"  # an error which is not the database's
        " (key <> 'broken' OR 1 / CAST(expanded_in < 2000 AS int) = 1) NOT VALID"
    )

    async with extension(database_url, calendars_a_run=1) as job:
        again = [await job.run() for _ in range(4)]

    years = await database.fetch(
        "SELECT key, expanded_in - EXTRACT(year FROM now()) AS passed, cardinality(dates)"
        " FROM calendars WHERE expanded_in IS NOT NULL ORDER BY key"
    )
    assert again == [0.0, 0.0, 0.0, None]
    assert [tuple(row)[:2] for row in years] == [("broken", -1), ("closed", 0), ("full", 0)]
    assert years[2]["cardinality"] == 0


@pytest.fixture
def idle(lent_idle_service: Service) -> httpx.AsyncClient:
    return lent_idle_service.client(ADA)


async def test_due_instants_that_a_change_of_dates_leaves_stay_due(
    idle: httpx.AsyncClient, database: Any
) -> None:
    await put_calendar(idle, "closed")
    details = {"cron": "0 9 * * *", "catch_up": "all", "catch_up_window": 14400, "except": NAMED}
    trigger = await make_scheduled(idle, details)
    since = await database.fetchval("SELECT date_trunc('day', now() - interval '4 days', 'UTC')")
    await database.execute(  # nothing has fired for four days
        "UPDATE triggers SET created_at = $1, anchor_at = $1, in_force_after = $1,"
        " settled_until = $1, next_fire_at = $2",
        *(since, since + timedelta(hours=9)),
    )
    first, second, third = (str((since + timedelta(days=one)).date()) for one in range(3))

    await put_calendar(idle, "closed", first, third)
    changed = await read(idle, trigger["id"])
    account = (await idle.get(f"/triggers/{trigger['id']}/accounting")).json()
    unfired = await database.fetch("SELECT last_at, count, reason FROM unfired_ranges")
    explained = await idle.get(
        f"/triggers/{trigger['id']}/explain", params={"at": f"{third}T09:00:00Z"}
    )

    assert changed["next_fire_at"] == f"{second}T09:00:00Z"
    assert [tuple(one) for one in unfired] == [(since + timedelta(hours=9), 1, "replaced")]
    assert account["balanced"], account
    assert explained.json()["outcome"] == "excepted"
