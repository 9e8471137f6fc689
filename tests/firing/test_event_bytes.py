"""A project keeps a limited number of bytes of events; beyond it nothing fires, and all is said."""

import asyncio
from datetime import timedelta
from secrets import token_urlsafe
from typing import Any

import httpx
import pytest

from event_trigger.clock import utc_now
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.reconciliation.verify import Verification, verify
from tests.support.event_bytes import plant_old_events, purge_old_events, until_marked
from tests.support.hooks import make_hook
from tests.support.problems import problem_of
from tests.support.services import ADA, Service, running_service
from tests.support.triggers import instant, make_api, make_scheduled, read
from tests.support.waiting import eventually

MOST = 10_000
EVERY_SECOND = {"interval": 1 / 60, "recurring": True}


@pytest.fixture
def service_settings() -> dict[str, Any]:
    return {"max_event_bytes": MOST}


@pytest.fixture
def service(own_service: Service) -> Service:
    return own_service


async def fill(client: httpx.AsyncClient) -> dict[str, Any]:
    """Fires until the project has no room for events; gives the trigger."""
    trigger = await make_api(client)

    async def fired() -> int:
        body = {"a": token_urlsafe(2000)}  # cannot be compressed much
        return (await client.post(f"/triggers/{trigger['id']}/trigger", json=body)).status_code

    await eventually(fired, lambda status: status == 507)
    return trigger


@pytest.fixture
async def full(ada: httpx.AsyncClient) -> dict[str, Any]:
    """Gives an API trigger of Ada's, whose project has no room for events."""
    return await fill(ada)


async def verified(database_url: str) -> Verification:
    engine = create_engine(database_url)
    found = await verify(create_sessions(engine), keep_for=timedelta(hours=48))
    await engine.dispose()
    return found


async def test_beyond_the_limit_every_way_to_fire_by_call_is_refused(
    ada: httpx.AsyncClient, service: Service, full: dict[str, Any]
) -> None:
    hook = await make_hook(ada, "none")
    before = (await ada.get("/events")).json()
    event = before[0]["id"]

    refused = [
        await ada.post(f"/triggers/{full['id']}/trigger", json={}),
        await ada.post(f"/triggers/{full['id']}/test"),
        await ada.post(f"/triggers/{full['id']}/trigger", headers={"X-API-Key": "a, second"}),
        await ada.post(f"/events/{event}/replay"),
        await service.client().post(hook.url),
    ]

    assert (await ada.get("/events")).json() == before
    for one in refused:
        problem = problem_of(one, 507)
        assert problem["type"] == "urn:event-trigger:problem:events-full"
        assert f"of at most {MOST} bytes" in problem["detail"]
        assert "EVENT_TRIGGER_MAX_EVENT_BYTES" in problem["detail"]


async def test_the_limit_is_a_projects_own(bob: httpx.AsyncClient, full: dict[str, Any]) -> None:
    trigger = await make_api(bob)

    answer = await bob.post(f"/triggers/{trigger['id']}/trigger")

    assert answer.status_code == 200
    assert full["id"] != trigger["id"]


async def test_a_repeated_call_gets_its_first_answer_also_beyond_the_limit(
    ada: httpx.AsyncClient,
) -> None:
    trigger, once = await make_api(ada), {"Idempotency-Key": "once"}
    first = await ada.post(f"/triggers/{trigger['id']}/trigger", headers=once)
    await fill(ada)

    again = await ada.post(f"/triggers/{trigger['id']}/trigger", headers=once)

    assert (again.status_code, again.headers["location"]) == (200, first.headers["location"])
    assert again.headers["idempotent-replayed"] == "true"


async def test_what_stores_no_event_goes_on(ada: httpx.AsyncClient, full: dict[str, Any]) -> None:
    path = f"/triggers/{full['id']}"

    answers = [
        await ada.patch(path, json={"name": "full"}),
        await ada.post(f"{path}/pause"),
        await ada.post(f"{path}/resume"),
        await ada.post("/triggers", json={"type": "api"}),
        await ada.get("/events"),
    ]

    assert [one.status_code for one in answers] == [200, 200, 200, 201, 200]


async def test_due_instants_are_on_record_as_failed_in_one_range_and_it_adds_up(
    ada: httpx.AsyncClient, full: dict[str, Any], database: Any, database_url: str
) -> None:
    made = await make_scheduled(ada, EVERY_SECOND)

    async def accounted() -> Any:
        return (await ada.get(f"/triggers/{made['id']}/accounting")).json()

    account = await eventually(accounted, lambda found: found["unfired"]["failed"] >= 3)
    [failed] = account["ranges"]
    path = f"/triggers/{made['id']}/explain"
    explained = (await ada.get(path, params={"at": failed["first"]})).json()
    trigger = await read(ada, made["id"])
    found = await verified(database_url)

    assert account["balanced"]
    assert account["fired"] == 0
    assert (failed["reason"], failed["count"]) == ("failed", account["unfired"]["failed"])
    assert explained["outcome"] == "missed"
    assert "EVENT_TRIGGER_MAX_EVENT_BYTES" in explained["reason"]
    assert (trigger["status"], trigger["fire_count"]) == ("active", 0)
    assert instant(trigger["next_fire_at"]) > instant(failed["last"])
    assert found.adds_up
    assert await database.fetchval("SELECT count(*) FROM unfired_ranges") == 1


async def test_what_fires_once_fails_once_and_is_completed(
    ada: httpx.AsyncClient, full: dict[str, Any], database: Any
) -> None:
    made = await make_scheduled(ada, {"interval": "PT1S"})

    trigger = await eventually(
        lambda: read(ada, made["id"]), lambda found: found["status"] == "completed"
    )

    assert trigger["fire_count"] == 0
    assert full["id"] != made["id"]
    row = await database.fetchrow("SELECT trigger_id, count, reason FROM unfired_ranges")
    assert tuple(row) == (made["id"], 1, "failed")


async def test_firing_goes_on_once_events_are_gone(
    ada: httpx.AsyncClient, service: Service, database: Any, database_url: str
) -> None:
    trigger, scheduled = await make_api(ada), await make_scheduled(ada, EVERY_SECOND)
    await plant_old_events(database, database_url, owner_id=ADA)
    await until_marked(database)

    async def fired() -> int:
        return (await ada.post(f"/triggers/{trigger['id']}/trigger")).status_code

    async def failed() -> int:
        return await database.fetchval("SELECT sum(count) FROM unfired_ranges") or 0

    refused, count = await fired(), await eventually(failed, bool)
    await purge_old_events(database_url)
    await eventually(fired, lambda status: status == 200)
    before = (await read(ada, scheduled["id"]))["fire_count"]
    after = await eventually(
        lambda: read(ada, scheduled["id"]), lambda found: found["fire_count"] > before
    )

    assert (refused, after["status"]) == (507, "active")
    assert count > 0
    assert (await verified(service.database_url)).adds_up


async def test_a_raised_limit_is_in_force_after_a_restart(
    ada: httpx.AsyncClient, full: dict[str, Any], database_url: str
) -> None:
    path = f"/triggers/{full['id']}/trigger"
    before = (await ada.post(path)).status_code

    async with running_service(database_url, max_event_bytes=0) as raised:
        client = raised.client(ADA)

        async def fired() -> int:
            return (await client.post(path)).status_code

        after = await eventually(fired, lambda status: status == 200)

    assert (before, after) == (507, 200)


async def test_a_limit_that_was_raised_at_a_restart_costs_no_instant(database_url: str) -> None:
    async with running_service(database_url, max_event_bytes=MOST) as before:
        ada = before.client(ADA)
        await fill(ada)
        details = {"time": (utc_now() + timedelta(seconds=1)).isoformat()}
        trigger = await make_scheduled(ada, details=details)
    await asyncio.sleep(1.2)

    async with running_service(database_url) as after:
        ada = after.client(ADA)
        fired = await eventually(
            lambda: read(ada, trigger["id"]), lambda one: one["next_fire_at"] is None
        )
        called = await ada.post(f"/triggers/{trigger['id']}/trigger", json={})

    assert (fired["fire_count"], called.status_code) == (1, 200)
    assert (await verified(database_url)).adds_up
