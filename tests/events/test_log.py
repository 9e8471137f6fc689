"""The log shows what fired: newest first, each event once, to the second, to its owner."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from event_trigger.events.schemas import EventListed, TriggerCount
from tests.support.databases import now_of
from tests.support.planting import plant_event
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.services import BOB
from tests.support.triggers import instant, make_api, make_scheduled
from tests.support.waiting import eventually

JSON_TYPE = {"content-type": "application/json"}
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
MICROSECOND = timedelta(microseconds=1)
ACTIVE_FOR, KEEP_FOR = 2 * HOUR, 48 * HOUR


@pytest.fixture
async def now(database: Any) -> AsyncIterator[datetime]:
    """Gives the database's time, and has a partition for the three days before it."""
    first = await database.fetchval("SELECT min(starts_at) FROM event_partitions")
    await database.execute(
        f"CREATE TABLE events_past PARTITION OF events"
        f" FOR VALUES FROM ('{(first - 72 * HOUR).isoformat()}') TO ('{first.isoformat()}')"
    )
    yield await now_of(database)
    await database.execute("DROP TABLE events_past")  # so the next test has the same service


async def ids(client: httpx.AsyncClient, **filters: Any) -> list[int]:
    return [event["id"] for event in await read_all(client, "/events", **filters)]


async def counts(client: httpx.AsyncClient, **filters: Any) -> list[dict[str, int]]:
    answer = await client.get("/events", params={"aggregate": "true", **filters})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, int]] = answer.json()
    assert [TriggerCount(**one).model_dump() for one in found] == found
    return found


def text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


# The fields of an event


@pytest.mark.parametrize("query", ["", "?view=summary", "?include=deliveries", "?limit=2&"])
async def test_a_list_is_written_as_its_models_would_be(
    ada: httpx.AsyncClient, database: Any, query: str
) -> None:
    odd = {"ü": 'é\u2028"\\', "n": None, "f": [1.0, 1e22, -0.5, 10**20], "deep": {"c": True}}
    made = await make_api(ada, name='é"\\ <b>', key="odd", details={"hook": {"verify": "github"}})
    gone = await make_api(ada)
    fired = await ada.post(f"/triggers/{made['id']}/trigger", json=odd)
    spelt = b'{ "a" : 1e2, "\\u00fc": 2 }'
    await ada.post(f"/triggers/{gone['id']}/test", content=spelt, headers=JSON_TYPE)
    await ada.post(f"{fired.headers['location']}/replay")
    await ada.delete(f"/triggers/{gone['id']}")
    fired_at = (await now_of(database)).replace(microsecond=0)
    await plant_event(database, trigger_id=made["id"], triggered_at=fired_at)
    await make_scheduled(ada, {"interval": "PT1S"}, payload=odd)
    await eventually(lambda: read_all(ada, "/events", type="scheduled"), bool)

    answer = await ada.get(f"/events{query}")

    models = TypeAdapter(list[EventListed])
    read = models.validate_json(answer.content)
    assert len(read) >= (2 if "limit" in query else 5)
    assert models.dump_json(read, exclude_unset=True) == answer.content


async def test_a_scheduled_event_has_its_instant_and_payload(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada, {"interval": "PT1S"}, payload={"a": [1.0, None]})

    events = await eventually(lambda: read_all(ada, "/events"), bool)

    assert events == [
        {
            "id": events[0]["id"],
            "trigger_id": made["id"],
            "type": "scheduled",
            "triggered_at": events[0]["triggered_at"],
            "scheduled_for": made["next_fire_at"],
            "payload": {"a": [1.0, None]},
            "is_test": False,
            "state": "active",
            "replay_of": None,
            "trigger_key": None,
            "trigger_name": None,
            "source": {"kind": "schedule"},
        }
    ]
    assert instant(events[0]["triggered_at"]) >= instant(made["next_fire_at"])


async def test_an_event_by_its_id_is_what_the_list_shows(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, payload={"a": 1})
    fired = await ada.post(f"/triggers/{made['id']}/test")

    event = await ada.get(fired.headers["location"])

    assert event.status_code == 200
    assert [event.json()] == await read_all(ada, "/events")


async def test_an_empty_log_is_an_empty_array(ada: httpx.AsyncClient) -> None:
    listed = await ada.get("/events")
    counted = await ada.get("/events", params={"aggregate": "true"})

    assert (listed.status_code, listed.json()) == (200, [])
    assert (counted.status_code, counted.json()) == (200, [])
    assert "link" not in listed.headers


async def test_the_newest_comes_first_and_the_larger_id_within_an_instant(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    planted = [
        (at, await plant_event(database, trigger_id=7, triggered_at=at))
        for at in (now - HOUR, now - MINUTE, now - HOUR, now - 3 * HOUR, now - MINUTE)
    ]

    listed = await ids(ada)

    assert listed == [event_id for _, event_id in sorted(planted, reverse=True)]


# Filters


async def test_filters_select_and_combine(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    async def plant(trigger_id: int, age: timedelta, kind: str, *, is_test: bool) -> int:
        return await plant_event(
            database, trigger_id=trigger_id, triggered_at=now - age, kind=kind, is_test=is_test
        )

    called = await plant(1, MINUTE, "api", is_test=False)
    tested = await plant(1, HOUR, "api", is_test=True)
    planned = await plant(2, 3 * HOUR, "scheduled", is_test=False)
    old = await plant(1, 40 * HOUR, "api", is_test=False)

    found = {
        "all": await ids(ada),
        "trigger": await ids(ada, trigger_id=1),
        "no such trigger": await ids(ada, trigger_id=99),
        "type": await ids(ada, type="scheduled"),
        "active": await ids(ada, state="active"),
        "archived": await ids(ada, state="archived"),
        "tests": await ids(ada, is_test="true"),
        "no tests": await ids(ada, is_test="false"),
        "since": await ids(ada, since=text(now - 2 * HOUR)),
        "until": await ids(ada, until=text(now - 2 * HOUR)),
        "between": await ids(ada, since=text(now - 4 * HOUR), until=text(now - 30 * MINUTE)),
        "nothing between": await ids(ada, since=text(now), until=text(now)),
        "several": await ids(ada, trigger_id=1, state="archived", type="api", is_test="false"),
    }

    assert found == {
        "all": [called, tested, planned, old],
        "trigger": [called, tested, old],
        "no such trigger": [],
        "type": [planned],
        "active": [called, tested],
        "archived": [planned, old],
        "tests": [tested],
        "no tests": [called, planned, old],
        "since": [called, tested],
        "until": [planned, old],
        "between": [tested, planned],
        "nothing between": [],
        "several": [old],
    }


async def test_since_is_inclusive_and_until_exclusive_to_the_microsecond_in_any_offset(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    at = (now - HOUR).replace(microsecond=123456)
    event = await plant_event(database, trigger_id=7, triggered_at=at)
    offset = text(at).replace("Z", "+00:00")

    found = {
        "since it": await ids(ada, since=text(at)),
        "since later": await ids(ada, since=text(at + MICROSECOND)),
        "until it": await ids(ada, until=text(at)),
        "until later": await ids(ada, until=text(at + MICROSECOND)),
        "with an offset": await ids(ada, since=offset),
    }

    assert found == {
        "since it": [event],
        "since later": [],
        "until it": [],
        "until later": [event],
        "with an offset": [event],
    }
    for name, filters in (("since", {"since": text(at)}), ("until", {"until": text(at)})):
        assert len(await counts(ada, **filters)) == len(found[f"{name} it"])


async def test_windows_of_purged_events_are_empty_and_no_error(ada: httpx.AsyncClient) -> None:
    await ada.post(f"/triggers/{(await make_api(ada))['id']}/trigger")

    for far in ("1970-01-01T00:00:00Z", "9000-12-31T23:59:59.999999Z"):
        since, until = await ids(ada, since=far), await ids(ada, until=far)

        assert (len(since), len(until)) == ((1, 0) if far < "2" else (0, 1))
        assert len(await counts(ada, since=far)) == len(since)
        assert len(await counts(ada, until=far)) == len(until)


async def test_parameters_that_make_no_sense_are_refused(ada: httpx.AsyncClient) -> None:
    for name, value in (
        ("trigger_id", "0"),
        ("trigger_id", "x"),
        ("trigger_id", str(2**63)),
        ("type", "test"),
        ("state", "purged"),
        ("is_test", "maybe"),
        ("since", "yesterday"),
        ("since", "2026-01-01T00:00:00"),
        ("until", "9001-01-01T00:00:00Z"),
        ("aggregate", "often"),
        ("limit", "0"),
        ("limit", "1001"),
        ("cursor", "x"),
        ("cursor", "WzFd"),  # [1], which is a cursor of triggers
        ("cursor", "Wy0xLDFd"),  # [-1,1]
        ("cursor", "WzEuNSwxXQ"),  # [1.5,1]
        ("cursor", "x" * 201),
    ):
        answer = await ada.get("/events", params={name: value})

        assert places_of(answer) == [name], (name, value)
    reversed_span = {"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}
    paths = ("/events", "/events/counts", "/events/export", "/events/stream", "/deliveries")
    for path in (*paths, "/audit"):
        answer = await ada.get(path, params=reversed_span)

        assert places_of(answer) == ["until"], path


async def test_a_cursor_from_far_away_shows_nothing_or_all(ada: httpx.AsyncClient) -> None:
    await ada.post(f"/triggers/{(await make_api(ada))['id']}/trigger")

    first = await ada.get("/events", params={"cursor": "WzAsMF0"})  # [0,0]
    last = await ada.get(
        "/events", params={"cursor": "WzkyMjMzNzIwMzY4NTQ3NzU4MDcsOV0"}
    )  # [2**63-1,9]

    assert first.json() == []
    assert len(last.json()) == 1


# Pages


async def test_pages_lose_and_repeat_nothing_while_new_events_arrive(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    chance = random.Random(7)
    instants = [now - chance.randrange(4) * HOUR for _ in range(60)]
    planted = sorted(
        [(at, await plant_event(database, trigger_id=7, triggered_at=at)) for at in instants]
    )
    made = await make_api(ada)
    seen: list[int] = []
    url = "/events?limit=7"

    while url:
        answer = await ada.get(url)
        seen += [event["id"] for event in answer.json()]
        url = answer.links.get("next", {}).get("url", "")
        await ada.post(f"/triggers/{made['id']}/trigger")

    assert seen == [event_id for _, event_id in reversed(planted)]


async def test_many_events_of_one_instant_are_paged_by_id(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    planted = [
        await plant_event(database, trigger_id=7, triggered_at=now - MINUTE) for _ in range(25)
    ]

    pages = {limit: await ids(ada, limit=limit) for limit in (1, 5, 24, 25, 26)}

    assert pages == dict.fromkeys(pages, planted[::-1])


async def test_the_next_link_keeps_the_filters(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    wanted = [
        await plant_event(
            database, trigger_id=7, triggered_at=now - 3 * HOUR - n * MINUTE, is_test=True
        )
        for n in range(5)
    ]
    for trigger_id, age, is_test in ((8, 3 * HOUR, True), (7, 3 * HOUR, False), (7, HOUR, True)):
        await plant_event(database, trigger_id=trigger_id, triggered_at=now - age, is_test=is_test)
    filters = {
        "trigger_id": 7,
        "state": "archived",
        "is_test": "true",
        "type": "api",
        "since": text(now - 4 * HOUR).replace("Z", "+00:00"),
        "until": text(now),
    }

    found = await ids(ada, limit=2, **filters)

    assert found == wanted


async def test_a_full_last_page_has_no_next_one(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    for _ in range(4):
        await plant_event(database, trigger_id=7, triggered_at=now)

    first = await ada.get("/events", params={"limit": 2})
    last = await ada.get(first.links["next"]["url"])

    assert (len(first.json()), len(last.json())) == (2, 2)
    assert "next" not in last.links


async def test_a_page_has_a_hundred_unless_told_and_a_thousand_at_most(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    await database.execute(
        """
        INSERT INTO events (shard, owner_id, trigger_id, type, is_test, triggered_at)
        SELECT 2, 2, 7, 'api', false, $1 FROM generate_series(1, 1001)
        """,
        now,
    )

    default = await ada.get("/events")
    largest = await ada.get("/events", params={"limit": 1000})
    rest = await ada.get(largest.links["next"]["url"])

    assert [len(page.json()) for page in (default, largest, rest)] == [100, 1000, 1]
    assert await counts(ada) == [{"trigger_id": 7, "count": 1001}]


# Age


async def test_events_are_archived_at_2_and_gone_at_48_hours_exactly(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    """The service asks for the time after `now`: each margin is on the side that time moves to."""
    margin = 20 * MINUTE  # what this test may take

    async def plant(age: timedelta) -> int:
        return await plant_event(database, trigger_id=7, triggered_at=now - age)

    young = await plant(ACTIVE_FOR - margin)
    two_hours = await plant(ACTIVE_FOR)
    old = await plant(KEEP_FOR - margin)
    two_days = await plant(KEEP_FOR)

    listed = await read_all(ada, "/events")

    assert {event["id"]: event["state"] for event in listed} == {
        young: "active",
        two_hours: "archived",
        old: "archived",
    }
    assert await ids(ada, state="active") == [young]
    assert await ids(ada, state="archived") == [two_hours, old]
    assert await counts(ada) == [{"trigger_id": 7, "count": 3}]
    assert await counts(ada, state="archived") == [{"trigger_id": 7, "count": 2}]
    for event in listed:
        assert (await ada.get(f"/events/{event['id']}")).json() == event
    problem_of(await ada.get(f"/events/{two_days}"), 404)


async def test_an_event_is_read_on_either_side_of_each_edge_as_time_passes_it(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    soon = 2 * timedelta(seconds=1)
    aging = await plant_event(database, trigger_id=7, triggered_at=now - ACTIVE_FOR + soon)
    going = await plant_event(database, trigger_id=8, triggered_at=now - KEEP_FOR + soon)

    async def look() -> tuple[datetime, httpx.Response, httpx.Response, datetime]:
        before = await database.fetchval("SELECT clock_timestamp()")
        state = await ada.get(f"/events/{aging}")
        presence = await ada.get(f"/events/{going}")
        return before, state, presence, await database.fetchval("SELECT clock_timestamp()")

    sights = [await look()]
    while sights[-1][0] < now + soon:
        await asyncio.sleep(0.05)
        sights.append(await look())

    for before, state, presence, after in sights:
        if after < now + soon:
            assert (state.json()["state"], presence.status_code) == ("active", 200)
        elif before >= now + soon:
            assert (state.json()["state"], presence.status_code) == ("archived", 404)


async def test_a_purged_event_answers_as_one_that_never_was(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    gone = await plant_event(database, trigger_id=7, triggered_at=now - KEEP_FOR)

    answers = [await ada.get(f"/events/{event_id}") for event_id in (gone, gone + 1000)]

    assert problem_of(answers[0], 404) == problem_of(answers[1], 404)
    assert await ids(ada, trigger_id=7) == []
    assert await counts(ada, trigger_id=7) == []
    assert await ids(ada, since=text(now - 60 * HOUR), state="archived") == []


# Counts


async def test_counts_are_of_every_kind_of_event_in_the_order_of_triggers(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    for trigger_id, kind, is_test in (
        (9, "api", False),
        (7, "scheduled", False),
        (7, "api", True),
        (7, "api", False),
    ):
        await plant_event(
            database, trigger_id=trigger_id, triggered_at=now - 3 * HOUR, kind=kind, is_test=is_test
        )
    await plant_event(database, trigger_id=8, triggered_at=now, owner_id=BOB)

    answer = await ada.get("/events", params={"aggregate": True, "limit": 1, "view": "summary"})
    more = {"cursor": "x", "include": "deliveries"}
    refused = await ada.get("/events", params={"aggregate": True, **more})

    assert places_of(refused) == [*more]
    assert answer.json() == [{"trigger_id": 7, "count": 3}, {"trigger_id": 9, "count": 1}]
    assert "link" not in answer.headers
    assert await counts(bob) == [{"trigger_id": 8, "count": 1}]


async def test_counts_agree_with_the_rows_for_any_filters(
    ada: httpx.AsyncClient, database: Any, now: datetime
) -> None:
    chance = random.Random(11)
    for _ in range(200):
        await plant_event(
            database,
            trigger_id=chance.randrange(1, 5),
            triggered_at=now - chance.random() * 60 * HOUR - MINUTE,
            kind=chance.choice(("api", "scheduled")),
            is_test=chance.random() < 0.3,
        )
    choices: dict[str, Any] = {
        "trigger_id": lambda: chance.randrange(1, 6),
        "type": lambda: chance.choice(("api", "scheduled")),
        "state": lambda: chance.choice(("active", "archived")),
        "is_test": lambda: chance.choice(("true", "false")),
        "since": lambda: text(now - chance.random() * 60 * HOUR),
        "until": lambda: text(now - chance.random() * 60 * HOUR),
    }

    for _ in range(40):
        names = [name for name in choices if chance.random() < 0.35]
        filters = {name: choices[name]() for name in names}
        if "since" in filters and "until" in filters:
            filters["since"], filters["until"] = sorted((filters["since"], filters["until"]))
        rows = Counter(event["trigger_id"] for event in await read_all(ada, "/events", **filters))
        counted = await counts(ada, **filters)

        assert counted == [
            {"trigger_id": trigger_id, "count": rows[trigger_id]} for trigger_id in sorted(rows)
        ], filters
    everything = sum(one["count"] for one in await counts(ada))
    assert everything == await database.fetchval(
        "SELECT count(*) FROM events WHERE triggered_at > $1", datetime.now(UTC) - KEEP_FOR
    )
