"""The migrations that let projects own rows lose none, and go beside the version before."""

from typing import Any

from event_trigger.auth.memberships import Memberships
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.models import ProjectRole
from tests.support.destinations import fire, make_destination
from tests.support.keys import holding, make_key
from tests.support.migrations import back_before_projects, downgrade, upgrade
from tests.support.services import ADA, ADMIN, BOB, running_service
from tests.support.triggers import make_api, make_scheduled

BEFORE = "0014"
_TABLES = """
    SELECT relname FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
"""
# what the version before does not store is lost, and the revision changes
_LOST = {
    "logins": ("address", "user_agent", "last_used_at"),
    "audit_entries": ("project_id",),
    "api_keys": ("project_id",),  # none is the user's own project
    "trigger_sort_keys": ("last_fired_at",),  # a job copies it from triggers
    "events": ("source_kind", "source"),
    "deliveries": ("trigger_key", "source_kind"),
}
# jobs count again what is in these, or write them every second
_COUNTED = frozenset(
    {
        "service_beats",
        "service_outages",
        "event_bytes",
        "measured_partitions",
        "minute_counts",
        "minute_partitions",
        "project_counts",
        "count_passes",
    }
)


async def rows_of(database: Any) -> dict[str, list[dict[str, Any]]]:
    """Reads all tables, apart from kept counts and the columns that are lost."""
    names = {row["relname"] for row in await database.fetch(_TABLES)} - _COUNTED
    return {
        name: [
            {key: value for key, value in row.items() if key not in _LOST.get(name, ())}
            for row in await database.fetch(f"SELECT * FROM {name} AS one ORDER BY one::text")
        ]
        for name in names
    }


async def make_team(database_url: str) -> int:
    """Makes a project of Ada's, which Bob edits, and gives its id."""
    engine = create_engine(database_url)
    async with create_sessions(engine).begin() as session:
        team = await Memberships(session).add("Team", owner=ADA)
        await Memberships(session).add_member(team.id, BOB, ProjectRole.EDITOR)
    await engine.dispose()
    return team.id


@back_before_projects
async def test_a_way_down_and_up_again_keeps_every_row(database_url: str, database: Any) -> None:
    async with running_service(database_url) as service:
        for user_id in (ADA, BOB):
            client = service.client(user_id)
            made = await make_destination(client, "https://1.1.1.1/hook")
            await client.post(f"/destinations/{made['id']}/disable")
            await fire(client, await make_api(client, tags=["a"], destinations=[made["id"]]))
            await make_scheduled(client)
            await make_api(client, details={"hook": {"verify": "none"}})
            await make_key(client)
    before = await rows_of(database)

    await downgrade(database_url, BEFORE)
    await upgrade(database_url)

    after = await rows_of(database)
    assert all(before[name] for name in ("projects", "events", "deliveries", "api_keys"))
    assert after == before


async def test_users_of_the_version_before_have_a_project_from_the_first_call_on(
    database_url: str, database: Any
) -> None:
    async with running_service(database_url) as service:
        key = await make_key(service.client(ADA))
        await database.execute("UPDATE api_keys SET project_id = NULL")  # it stores none
        made = []
        for client in (
            service.client(BOB),
            holding(service, key),
            service.client(ADA, project=ADA),
        ):
            await database.execute("DELETE FROM projects")  # nor adds any
            made.append(await make_api(client))
        listed = (await service.client(ADA).get("/auth/keys")).json()

    owners = await database.fetch("SELECT owner_id FROM triggers ORDER BY id")
    assert [row["owner_id"] for row in owners] == [BOB, ADA, ADA]
    assert [one["id"] for one in listed] == [key["id"]]


@back_before_projects
async def test_a_team_is_a_disabled_user_for_the_version_before_and_a_project_again_afterwards(
    database_url: str, database: Any
) -> None:
    team = await make_team(database_url)
    async with running_service(database_url) as service:
        kept = await make_scheduled(service.client(BOB, project=team), tags=["a"])
        await make_key(service.client(ADA, project=team))

    await downgrade(database_url, BEFORE)
    user = await database.fetchrow("SELECT role, disabled_at FROM users WHERE id = $1", team)
    keys = await database.fetchval("SELECT count(*) FROM api_keys")
    planned = await database.fetchval("SELECT next_fire_at FROM triggers WHERE id = $1", kept["id"])
    await upgrade(database_url)

    assert (user["role"], user["disabled_at"] is not None, keys) == ("user", True, 0)
    assert planned is not None
    async with running_service(database_url) as service:
        path = f"/triggers/{kept['id']}"
        found = [
            (await service.client(one, project=team).get(path)).status_code for one in (ADMIN, BOB)
        ]
    assert found == [200, 404]  # its members are lost: an admin adds them again


@back_before_projects
async def test_rows_of_a_deleted_project_are_not_brought_back_by_a_downgrade(
    database_url: str, database: Any
) -> None:
    team = await make_team(database_url)
    async with running_service(database_url) as service:
        client = service.client(BOB, project=team)
        await make_scheduled(client, tags=["a"])
        await make_destination(client, "https://1.1.1.1/hook")
        kept = await make_scheduled(service.client(BOB))
    await database.execute("UPDATE projects SET deleted_at = now() WHERE id = $1", team)

    await downgrade(database_url, BEFORE)

    triggers = await database.fetch("SELECT id FROM triggers")
    assert [row["id"] for row in triggers] == [kept["id"]]
    assert await database.fetchval("SELECT count(*) FROM destinations") == 0
    assert await database.fetchval("SELECT count(*) FROM users WHERE id = $1", team) == 0
