"""Heartbeats are explained and accounted for: each change has its event, and they alternate."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.reconciliation.verify import Verification, verify
from tests.support.heartbeats import (
    forget_outages,
    let_pass,
    make_heartbeat,
    ping,
    status_of,
    until_told,
)
from tests.support.services import ADA, Service
from tests.support.triggers import instant, read
from tests.support.waiting import eventually

HOUR = timedelta(hours=1)
LATE = HOUR + timedelta(minutes=10)


async def accounted(client: httpx.AsyncClient, heartbeat: dict[str, Any]) -> dict[str, Any]:
    answer = await client.get(f"/triggers/{heartbeat['id']}/accounting")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def explained(
    client: httpx.AsyncClient, heartbeat: dict[str, Any], at: str
) -> dict[str, Any]:
    answer = await client.get(f"/triggers/{heartbeat['id']}/explain", params={"at": at})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def verified(service: Service) -> Verification:
    engine = create_engine(service.database_url)
    try:
        return await verify(create_sessions(engine), keep_for=service.settings.keep_for)
    finally:
        await engine.dispose()


async def silenced(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> dict[str, Any]:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await forget_outages(database)
    await let_pass(database, made, LATE)
    await until_told(ada, made, "silent")
    return made


async def test_a_silence_and_its_end_add_up(
    own_service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await silenced(ada, anonymous, database)
    await ping(anonymous, made)

    found = await accounted(ada, made)

    assert (found["planned"], found["fired"], found["balanced"]) == (2, 2, True), found
    assert (await verified(own_service)).findings == []


@pytest.fixture
def service(own_service: Service) -> Service:
    return own_service


async def test_the_deadline_that_fired_is_explained(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await silenced(ada, anonymous, database)
    [event] = await until_told(ada, made, "silent")

    found = await explained(ada, made, event["scheduled_for"])

    assert found["outcome"] == "fired"
    assert found["event_id"] == event["id"]
    assert found["lag_ms"] >= 0
    assert found["reason"].startswith("No ping had come by this deadline.")
    assert found["schedule"]["words"] == made["words"]


async def test_the_next_deadline_and_other_instants_are_explained(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_heartbeat(ada)
    waiting = await explained(ada, made, "2026-01-01T00:00:00Z")
    await ping(anonymous, made)
    deadline_at = (await read(ada, made["id"]))["next_fire_at"]

    pending = await explained(ada, made, deadline_at)
    other = await explained(ada, made, (instant(deadline_at) + HOUR).isoformat())

    assert waiting["outcome"] == "expired"
    assert (pending["outcome"], pending["scheduled_for"]) == ("pending", deadline_at)
    assert other["outcome"] == "not_scheduled"
    assert deadline_at in other["reason"]


async def test_a_deadline_that_an_outage_makes_void_is_on_record(
    service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await forget_outages(database)
    await let_pass(database, made, LATE - timedelta(seconds=2))
    deadline_at = (await read(ada, made["id"]))["next_fire_at"]
    await database.execute(
        """
        INSERT INTO service_outages (began_at, ended_at)
        VALUES (now() - interval '9 minutes', now() - interval '5 minutes')
        """
    )

    found = await eventually(
        lambda: explained(ada, made, deadline_at), lambda one: bool(one["outcome"] == "missed")
    )

    assert "did not run" in found["reason"]
    assert await status_of(ada, made) == "alive"
    account = await accounted(ada, made)
    assert (account["unfired"]["missed"], account["balanced"]) == (1, True)
    assert (await verified(service)).adds_up


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("DELETE FROM events WHERE type = 'heartbeat'", "unexplained"),
        ("DELETE FROM heartbeat_changes", "unplanned"),
        ("UPDATE triggers SET silent_since = NULL", "contradictory"),
        (
            "INSERT INTO events (shard, owner_id, trigger_id, type, payload, is_test)"
            " SELECT shard, owner_id, trigger_id, type, payload, is_test FROM events",
            "unplanned",
        ),
    ],
)
async def test_what_does_not_add_up_is_found(
    service: Service,
    ada: httpx.AsyncClient,
    anonymous: httpx.AsyncClient,
    database: Any,
    fault: str,
    kind: str,
) -> None:
    made = await silenced(ada, anonymous, database)

    await database.execute(fault)

    found = await accounted(ada, made)
    assert [one["kind"] for one in found["differences"]] == [kind]
    assert not (await verified(service)).adds_up


async def test_a_deleted_heartbeat_is_still_accounted_for(
    service: Service, ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    made = await silenced(ada, anonymous, database)
    await ada.patch(f"/triggers/{made['id']}", json={"details": {"interval": 5}})
    await ada.delete(f"/triggers/{made['id']}")

    assert (await verified(service)).findings == []
    await database.execute("DELETE FROM heartbeat_changes WHERE state = 'silent'")
    await database.execute(
        "INSERT INTO heartbeat_changes (shard, owner_id, trigger_id, state, reason, event_id)"
        " SELECT shard, owner_id, trigger_id, 'silent', 'failed', id + 9 FROM events"
    )
    assert not (await verified(service)).adds_up


async def test_an_overdue_deadline_is_pending(idle: Service, database: Any) -> None:
    ada, anonymous = idle.client(ADA), idle.client()
    made = await make_heartbeat(ada)
    await ping(anonymous, made)
    await let_pass(database, made, 2 * HOUR)

    found = await accounted(ada, made)

    assert (found["pending"], found["planned"], found["balanced"]) == (1, 1, True)
