"""A completed trigger whose `on_completion` is `delete` is deleted once, with its records."""

import asyncio
from functools import partial

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import AuditedSession
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.destinations.repository import Destinations
from event_trigger.hooks.lifecycle import TriggerHooks
from event_trigger.triggers.completion import delete_completed
from event_trigger.triggers.repository import CompletedTriggers, Triggers
from event_trigger.web.dependencies import state_of
from tests.support.databases import connect
from tests.support.locks import locked_trigger
from tests.support.plans import plans_of
from tests.support.services import ADA, ADMIN, Service, idle_service
from tests.support.triggers import change, make_scheduled
from tests.support.waiting import eventually

PAST, FUTURE = "2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z"
TWICE = {"interval": "PT1S", "recurring": True, "max_fires": 2}


async def test_what_completes_in_any_way_is_deleted_with_its_records(
    service: Service, ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    made = {
        "by max_fires": await make_scheduled(ada, TWICE, on_completion="delete", tags=["x"]),
        "once": await make_scheduled(ada, {"interval": "PT1S"}, on_completion="delete", key="one"),
        "a past time": await make_scheduled(ada, {"time": PAST}, on_completion="delete"),
        "by a patch": await make_scheduled(ada, {"time": PAST}),
        "kept": await make_scheduled(ada, {"time": PAST}),
        "not yet": await make_scheduled(ada, {"time": FUTURE}, on_completion="delete"),
    }
    assert [len(one["warnings"]) for one in made.values()] == [0, 0, 2, 1, 1, 0]
    kept = {made.pop(name)["id"] for name in ("kept", "not yet")}
    await change(ada, made["by a patch"]["id"], {"on_completion": "delete"})

    async def left() -> set[int]:
        return {one["id"] for one in (await ada.get("/triggers")).json()}

    assert await eventually(left, lambda ids: ids == kept) == kept

    events = (await ada.get("/events", params={"trigger_id": made["by max_fires"]["id"]})).json()
    log = (await admin.get("/audit", params={"action": "delete_completed_trigger"})).json()
    connection = await connect(service.database_url)
    tags = await connection.fetchval("SELECT count(*) FROM trigger_tags")
    versions = await connection.fetch("SELECT trigger_id FROM schedule_versions")
    await connection.close()
    gone = {one["id"] for one in made.values()}
    assert len(events) == 2
    assert sorted(entry["target_id"] for entry in log) == sorted(gone)
    assert {(entry["actor"], entry["target"], entry["user_id"]) for entry in log} == {
        ("operator", "trigger", None)
    }
    assert tags == 0
    assert {row["trigger_id"] for row in versions} == gone
    assert (await make_scheduled(ada, key="one"))["key"] == "one"


async def test_replicas_at_once_delete_a_trigger_once(database_url: str) -> None:
    async with idle_service(database_url) as service:
        ada, admin = service.client(ADA), service.client(ADMIN)
        wanted = [
            await make_scheduled(ada, {"time": PAST}, on_completion="delete") for _ in range(5)
        ]
        spared = wanted.pop()
        engines = [create_engine(database_url) for _ in range(3)]
        hooks = TriggerHooks(state_of(service.app).vault)

        runs = [
            partial(delete_completed, create_sessions(one, AuditedSession), hooks)
            for one in engines
        ]
        async with locked_trigger(database_url, spared["id"]) as holder:
            await asyncio.gather(*(run() for run in runs))
            await holder.execute(
                "UPDATE triggers SET on_completion = NULL WHERE id = $1", spared["id"]
            )
        await runs[0]()

        log = (await admin.get("/audit", params={"action": "delete_completed_trigger"})).json()
        assert sorted(entry["target_id"] for entry in log) == [one["id"] for one in wanted]
        assert [one["id"] for one in (await ada.get("/triggers")).json()] == [spared["id"]]
        for engine in engines:
            await engine.dispose()


async def test_keys_and_what_is_to_delete_are_found_by_their_indexes(database_url: str) -> None:
    engine = create_engine(database_url)

    async def work(session: AsyncSession) -> None:
        await Triggers(session).get_id(ADA, "one")
        await Triggers(session).get_by_key_locked(ADA, "one")
        await Destinations(session).get_by_key(ADA, "one")
        await CompletedTriggers(session).list_to_delete(limit=5)

    plans = await plans_of(engine, work)
    await engine.dispose()

    names = ["ix_triggers_key", "ix_triggers_key", "ix_destinations_key", "ix_triggers_to_delete"]
    assert [name in plan for name, plan in zip(names, plans, strict=True)] == [True] * 4
