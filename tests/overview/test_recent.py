"""The last instants of several triggers say for each that did not fire why."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from event_trigger.db.engine import create_engine
from event_trigger.overview.recent.repository import RecentInstants
from tests.support.downtime import set_back, until_caught_up
from tests.support.event_bytes import plant_old_events
from tests.support.keys import holding, make_key
from tests.support.plans import plans_of
from tests.support.problems import places_of
from tests.support.services import ADA, Service, running_service
from tests.support.triggers import instant, make_api, make_scheduled

HOURLY = {"interval": "PT1H", "recurring": True}


async def recent(client: httpx.AsyncClient, *ids: int, **query: Any) -> dict[int, list[Any]]:
    answer = await client.get("/triggers/recent", params={"id": [*ids], **query})
    assert answer.status_code == 200, answer.text
    return {one["trigger_id"]: one["instants"] for one in answer.json()}


async def test_fired_and_unfired_instants_are_shown_in_their_order(
    ada: httpx.AsyncClient, database: Any
) -> None:
    hourly, called, idle = [
        (await make_scheduled(ada, HOURLY))["id"],
        (await make_api(ada))["id"],
        (await make_api(ada))["id"],
    ]
    await set_back(database, hourly, timedelta(hours=4, minutes=30))
    await until_caught_up(database, hourly)
    await ada.post(f"/triggers/{called}/trigger")
    await ada.post(f"/triggers/{called}/test")

    found = await recent(ada, hourly, called, idle)

    assert idle not in found
    [call] = found[called]
    assert (call["reason"], call["count"], call["lag_ms"]) == (None, 1, None)
    merged, late = found[hourly]
    assert (merged["reason"], merged["count"], merged["event_id"]) == ("coalesced", 3, None)
    assert late["event_id"] is not None
    assert late["lag_ms"] > 1_000_000
    assert instant(late["at"]) - instant(merged["at"]) == timedelta(hours=1)


async def test_the_newest_are_shown_as_far_as_events_are_kept(
    ada: httpx.AsyncClient, database: Any, database_url: str
) -> None:
    trigger = (await make_api(ada))["id"]
    await plant_old_events(database, database_url, owner_id=ADA, count=3)
    await database.execute("UPDATE events SET trigger_id = $1", trigger)
    await ada.post(f"/triggers/{trigger}/trigger")

    newest = (await recent(ada, trigger, last=2))[trigger]
    every = (await recent(ada, trigger))[trigger]

    assert len(every) == 4
    assert newest == every[2:]
    assert [one["at"] for one in every] == sorted(one["at"] for one in every)


async def test_events_over_the_limit_are_not_shown(database: Any, database_url: str) -> None:
    await plant_old_events(database, database_url, owner_id=ADA, count=3)
    async with running_service(database_url, keep_for=timedelta(hours=24)) as service:
        ada = service.client(ADA)
        trigger = (await make_api(ada))["id"]
        await database.execute("UPDATE events SET trigger_id = $1", trigger)

        assert await recent(ada, trigger) == {}


async def test_nothing_is_shown_of_others(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    mine, other = [(await make_api(ada))["id"] for _ in range(2)]
    for one in (mine, other):
        await ada.post(f"/triggers/{one}/trigger")
    key = await make_key(ada, "triggers:read", "events:read", trigger_ids=[mine])

    assert await recent(bob, mine) == {}
    async with holding(service, key) as limited:
        assert [*await recent(limited, mine, other)] == [mine]


async def test_a_list_without_ids_is_refused(ada: httpx.AsyncClient) -> None:
    assert places_of(await ada.get("/triggers/recent")) == ["id"]


async def test_each_kind_of_event_is_read_in_the_order_of_its_index(database_url: str) -> None:
    since = datetime.now(UTC) - timedelta(hours=1)
    engine = create_engine(database_url)

    [plan] = await plans_of(
        engine, lambda session: RecentInstants(session).list_last(ADA, [1, 2], since=since, most=5)
    )
    await engine.dispose()

    assert "shard_trigger_id_type_is_test" in plan
    assert "Bitmap" not in plan
    assert "ix_unfired_ranges_trigger" in plan
