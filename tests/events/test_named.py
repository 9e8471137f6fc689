"""Events show the names of their triggers and, if asked, their deliveries or no payloads."""

import csv
import io
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.support.destinations import fire
from tests.support.keys import holding, make_key
from tests.support.planting import plant_event
from tests.support.problems import places_of
from tests.support.reading import read_all
from tests.support.services import ADA, BOB, Service
from tests.support.triggers import change, make_api

DELIVERIES = """
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload_size, status, next_attempt_at)
    SELECT $1::bigint % 64, $1, n, 1, $2, 'api', now(), false, 0, status, NULL
    FROM unnest($3::text[]) WITH ORDINALITY AS made (status, n)
"""


@pytest.fixture
def service(own_service: Service) -> Service:
    """A service whose first trigger has the id 1."""
    return own_service


async def test_an_event_names_its_trigger_as_that_is_called_now(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient, database: Any
) -> None:
    kept, gone = [await make_api(ada, name=name) for name in ("Deploy", "Gone")]
    await database.execute("UPDATE triggers SET key = 'deploy' WHERE id = $1", kept["id"])
    of_kept, of_gone = [await fire(ada, one) for one in (kept, gone)]
    await change(ada, kept["id"], {"name": "Deploy it"})
    await ada.delete(f"/triggers/{gone['id']}")

    listed = await read_all(ada, "/events")
    exported = (await ada.get("/events/export", params={"format": "csv"})).text
    replayed = (await ada.post(f"/events/{of_kept}/replay")).json()

    named = [{"trigger_key": "deploy", "trigger_name": "Deploy it"}]
    names = [{one: event[one] for one in named[0]} for event in listed]
    assert names == [{"trigger_key": None, "trigger_name": None}, *named]
    assert [(await ada.get(f"/events/{one}")).json() for one in (of_gone, of_kept)] == listed
    assert await read_all(overseer, "/events", until=replayed["triggered_at"]) == listed
    assert replayed["trigger_name"] == "Deploy it"
    rows = csv.DictReader(io.StringIO(exported, newline=""))
    assert [row["trigger_name"] for row in rows] == ["", "Deploy it"]


async def test_a_summary_has_no_payload(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient
) -> None:
    await fire(ada, await make_api(ada, payload={"a": 1}))
    [full] = await read_all(ada, "/events", view="full")

    summaries = [await read_all(one, "/events", view="summary") for one in (ada, overseer)]

    assert full.pop("payload") == {"a": 1}
    assert summaries == [[full], [full]]


async def test_deliveries_are_counted_if_asked(
    ada: httpx.AsyncClient, overseer: httpx.AsyncClient, database: Any
) -> None:
    trigger = await make_api(ada)
    first, second = [await fire(ada, trigger) for _ in range(2)]
    made = ["delivered", "delivered", "exhausted", "retrying"]
    await database.execute(DELIVERIES, ADA, first, made)

    for client in (ada, overseer):
        listed = await read_all(client, "/events", include="deliveries")
        counts = {event["id"]: event["deliveries"] for event in listed}

        none = {"pending": 0, "retrying": 0, "delivered": 0, "exhausted": 0}
        found = none | {"retrying": 1, "delivered": 2, "exhausted": 1}
        assert counts == {first: found, second: none}
    assert all("deliveries" not in event for event in await read_all(ada, "/events"))
    assert places_of(await ada.get("/events", params={"include": "payload"})) == ["include"]


@pytest.fixture
async def planted(database: Any, ada: httpx.AsyncClient) -> dict[int, list[int]]:
    """Ada's events by trigger, newest first: of her triggers 1 to 3, and of a deleted one, 4."""
    for _ in range(3):
        await make_api(ada)
    now = datetime.now(UTC)
    ids: dict[int, list[int]] = {}
    for trigger_id in (1, 2, 3, 4, 1, 2, 3, 4):
        event_id = await plant_event(database, trigger_id=trigger_id, triggered_at=now)
        ids.setdefault(trigger_id, []).insert(0, event_id)
    await plant_event(database, trigger_id=5, triggered_at=now, owner_id=BOB)
    return ids


async def test_events_of_several_triggers_are_one_list(
    ada: httpx.AsyncClient,
    overseer: httpx.AsyncClient,
    service: Service,
    planted: dict[int, list[int]],
) -> None:
    limited = holding(service, await make_key(ada, trigger_ids=[1, 3]))
    some = sorted(planted[1] + planted[2] + planted[4], reverse=True)
    seen = {"ada": (ada, some), "overseer": (overseer, some), "key": (limited, planted[1])}

    for name, (client, expected) in seen.items():
        for limit in (2, 1000):
            query = {"trigger_id": [1, 2, 4], "limit": limit}
            listed = await read_all(client, "/events", **query)

            assert [one["id"] for one in listed] == expected, (name, limit)
        chosen = {"trigger_id": [1, 2, 4]}
        counted = [
            (await client.get("/events", params={**chosen, "aggregate": "true"})).json(),
            (await client.get("/events/counts", params=chosen)).json(),
        ]
        of_each = [one for one in (1, 2, 4) if set(planted[one]) <= set(expected)]
        assert counted == [[{"trigger_id": one, "count": 2} for one in of_each]] * 2
        exported = await client.get("/events/export", params=chosen)
        assert len(exported.text.splitlines()) == len(expected)
    for wrong in ("0", ["1", "x"], [str(one) for one in range(1, 102)]):
        assert places_of(await ada.get("/events", params={"trigger_id": wrong})) == ["trigger_id"]
