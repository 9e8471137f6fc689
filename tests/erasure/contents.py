"""Makes projects, fills them, and looks for what is left of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from event_trigger.auth.memberships import Memberships
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.db.notify import PROJECTS_DELETED
from event_trigger.erasure.job import ProjectErasure
from event_trigger.erasure.rows import owned_tables
from event_trigger.models import ProjectRole
from event_trigger.reconciliation.verify import Verification, verify
from tests.support.calendars import put_calendar
from tests.support.hooks import MadeHook, make_hook
from tests.support.keys import make_key
from tests.support.services import ADA, Service, make_settings
from tests.support.sets import put_set
from tests.support.triggers import change, make_api, make_scheduled
from tests.support.waiting import eventually

NOWHERE = "https://1.1.1.1/hook"


async def make_project(
    database_url: str,
    name: str = "Orders",
    *,
    owner: int = ADA,
    members: Mapping[int, ProjectRole] | None = None,
) -> int:
    engine = create_engine(database_url)
    async with create_sessions(engine).begin() as session:
        memberships = Memberships(session)
        project = await memberships.add(name, owner=owner)
        for user_id, role in (members or {}).items():
            await memberships.add_member(project.id, user_id, role)
    await engine.dispose()
    return project.id


async def join(database: Any, project_id: int, user_id: int, role: str = "viewer") -> None:
    await database.execute(
        "INSERT INTO project_members (project_id, user_id, role) VALUES ($1, $2, $3)",
        project_id,
        user_id,
        role,
    )


@dataclass(frozen=True)
class Filled:
    """A project with something of each kind."""

    armed: dict[str, Any]
    called: dict[str, Any]
    hook: MadeHook
    key: dict[str, Any]
    destination: dict[str, Any]
    event_id: int


async def fill(client: httpx.AsyncClient, url: str = NOWHERE) -> Filled:
    """Makes triggers, one with a former schedule, a hook, a key, a set, a delivery, its payload."""
    keyed = {"Idempotency-Key": "once"}
    answer = await client.post("/destinations", json={"url": url}, headers=keyed)
    assert answer.status_code == 201, answer.text
    destination = answer.json()
    armed = await make_scheduled(client, {"interval": "PT1S", "recurring": True}, tags=["a"])
    called = await make_api(client, payload={"a": 1}, destinations=[destination["id"]])
    edited = await make_scheduled(client, {"cron": "0 0 * * *"})
    await change(client, edited["id"], {"details": {"cron": "0 1 * * *"}})
    answer = await client.post(f"/triggers/{called['id']}/trigger", headers=keyed)
    assert answer.status_code == 200, answer.text
    event_id = int(answer.headers["event-id"]) if "event-id" in answer.headers else 0
    event_id = event_id or int(answer.headers["location"].removeprefix("/events/"))
    hook = await make_hook(client, "standard_webhooks")
    await put_calendar(client, "closed", "2026-12-24")
    await make_scheduled(client, {"cron": "@daily", "except": [{"calendar": "closed"}]})
    over = {"time": "2020-01-01T00:00:00Z"}
    await put_set(client, "billing", {"triggers": {"done": {"type": "scheduled", "details": over}}})
    await client.patch("/triggers/by-key/done", json={"on_completion": "delete"})
    return Filled(armed, called, hook, await make_key(client), destination, event_id)


async def rows_left(database: Any, project_id: int) -> dict[str, int]:
    """Counts the rows of a project in every table that has an owner."""
    names = [one.name for one in owned_tables() if "owner_id" in one.columns]
    counts = {
        name: await database.fetchval(
            f"SELECT count(*) FROM {name} WHERE owner_id = $1", project_id
        )
        for name in names
    }
    return {name: count for name, count in counts.items() if count}


async def settle(database: Any) -> None:
    """Makes all deletions so old that no request of before can be running, and wakes the job."""
    await database.execute(
        "UPDATE projects SET deleted_at = deleted_at - interval '1 hour'"
        " WHERE deleted_at IS NOT NULL"
    )
    await database.execute(f"NOTIFY {PROJECTS_DELETED}")


async def projects_left(database: Any) -> Sequence[int]:
    rows = await database.fetch("SELECT id FROM projects ORDER BY id")
    return [row["id"] for row in rows]


async def until_gone(database: Any, project_id: int) -> None:
    await eventually(lambda: rows_left(database, project_id), lambda left: not left)
    await settle(database)
    await eventually(lambda: projects_left(database), lambda ids: project_id not in ids)


async def run_job(database_url: str) -> None:
    """Runs the job once, as a process that has just started does."""
    engine = create_engine(database_url)
    await ProjectErasure(create_sessions(engine)).run()
    await engine.dispose()


async def verification(service: Service) -> Verification:
    return await verified(service.database_url)


async def verified(database_url: str) -> Verification:
    engine = create_engine(database_url)
    found = await verify(create_sessions(engine), keep_for=make_settings(database_url).keep_for)
    await engine.dispose()
    return found
