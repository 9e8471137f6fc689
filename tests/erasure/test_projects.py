"""A deleted project stops at once, on every replica, and a job deletes all of its rows."""

import asyncio
from typing import Any

import httpx
import pytest

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.erasure import job
from event_trigger.erasure.job import ProjectErasure
from event_trigger.erasure.rows import owned_tables
from event_trigger.models import Base, ProjectRole
from tests.erasure.contents import (
    fill,
    join,
    make_project,
    projects_left,
    rows_left,
    run_job,
    settle,
    until_gone,
    verification,
)
from tests.support.databases import connect
from tests.support.hooks import BODY, standard
from tests.support.keys import holding, make_key
from tests.support.locks import caught_while_firing, locked_trigger, until_somebody_waits
from tests.support.logins import sign_in
from tests.support.problems import places_of, problem_of
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import ADA, ADMIN, BOB, Service, idle_service, running_service
from tests.support.streams import following, listening
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import REVOKED_WITHIN, eventually

UNKNOWN = 10**9


@pytest.fixture
async def project(service: Service) -> int:
    return await make_project(service.database_url)


async def delete(client: httpx.AsyncClient, project_id: int, **query: Any) -> httpx.Response:
    return await client.delete(f"/projects/{project_id}", params=query)


async def count_events(database: Any, project_id: int) -> int:
    return int(
        await database.fetchval("SELECT count(*) FROM events WHERE owner_id = $1", project_id)
    )


async def test_an_empty_project_is_deleted_by_its_owner(
    service: Service, ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    inside = service.client(ADA, project=project)
    assert (await inside.get("/triggers")).json() == []

    answer = await delete(ada, project)

    assert (answer.status_code, answer.content) == (204, b"")
    problem_of(await inside.get("/triggers"), 404)
    problem_of(await delete(ada, project), 404)
    await until_gone(database, project)


async def test_a_project_with_triggers_is_kept_unless_it_is_purged(
    service: Service, ada: httpx.AsyncClient, project: int
) -> None:
    inside = service.client(ADA, project=project)
    trigger = await make_api(inside)

    problem = problem_of(await delete(ada, project), 409)
    again = problem_of(await delete(ada, project, purge="false"), 409)

    assert problem == again
    assert problem["type"] == "urn:event-trigger:problem:project-has-triggers"
    assert "purge=true" in problem["detail"]
    assert (await inside.get(f"/triggers/{trigger['id']}")).status_code == 200
    assert places_of(await delete(ada, project, purge="perhaps")) == ["purge"]


async def test_a_project_is_deleted_after_an_action_that_has_locked_its_triggers(
    service: Service, ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    inside = service.client(ADA, project=project)
    ids = [(await make_api(inside))["id"] for _ in range(2)]

    async with locked_trigger(service.database_url, ids[1]):
        body = {"action": "pause", "ids": ids}
        pausing = asyncio.create_task(inside.post("/triggers/actions", json=body))
        await until_somebody_waits(database)
        deleting = asyncio.create_task(delete(ada, project, purge="true"))
        await until_somebody_waits(database, 2)
    paused, deleted = await pausing, await deleting

    assert (paused.status_code, paused.json()["changed"]) == (200, 2)
    assert deleted.status_code == 204


async def test_a_users_own_project_goes_only_with_the_account(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    for client in (ada, admin):
        problem = problem_of(await delete(client, ADA, purge="true"), 409)

        assert problem["type"] == "urn:event-trigger:problem:own-project"
        assert "DELETE /auth/me" in problem["detail"]


async def test_only_owners_and_admins_delete_a_project(
    service: Service, project: int, database: Any, anonymous: httpx.AsyncClient
) -> None:
    outsider = await delete(service.client(BOB), project, purge="true")
    unknown = await delete(service.client(BOB), UNKNOWN, purge="true")
    await join(database, project, BOB, ProjectRole.EDITOR)

    member = problem_of(await delete(service.client(BOB), project, purge="true"), 403)
    narrowed = (await sign_in(anonymous, scope="triggers:write")).headers
    key = holding(service, await make_key(service.client(ADA, project=project)))

    assert problem_of(outsider, 404) == problem_of(unknown, 404)
    assert "editor" in member["detail"]
    refused = problem_of(await anonymous.delete(f"/projects/{project}", headers=narrowed), 403)
    assert refused["type"] == "urn:event-trigger:problem:narrowed-login"
    problem_of(await delete(key, project), 403)
    assert (await delete(service.client(ADMIN), project, purge="true")).status_code == 204


async def test_an_owner_who_is_just_being_removed_deletes_nothing(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    project = await make_project(service.database_url, members={BOB: ProjectRole.OWNER})
    holder = await connect(service.database_url)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM projects WHERE id = $1 FOR NO KEY UPDATE", project)
        removing = asyncio.create_task(ada.delete(f"/projects/{project}/members/{BOB}"))
        await until_somebody_waits(database)
        deleting = asyncio.create_task(delete(service.client(BOB), project, purge="true"))
        await until_somebody_waits(database, 2)

    answers = await asyncio.gather(removing, deleting)

    await holder.close()
    assert [one.status_code for one in answers] == [204, 404]
    assert (await service.client(ADA, project=project).get("/triggers")).status_code == 200


async def test_a_job_with_little_time_comes_to_every_project(
    database_url: str, database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job, "RUN_SECONDS", 0.2)
    async with idle_service(database_url) as service:
        projects = [await make_project(database_url) for _ in range(3)]
        for project in projects:
            await make_api(service.client(ADA, project=project))
            await delete(service.client(ADA), project, purge="true")
    await settle(database)
    engine = create_engine(database_url)
    erasure = ProjectErasure(create_sessions(engine))

    async def left() -> set[int]:
        await erasure.run()
        return {*projects} & {*await projects_left(database)}

    await eventually(left, lambda ids: not ids)
    await engine.dispose()
    assert [await rows_left(database, one) for one in projects] == [{}] * 3


async def test_everything_of_a_purged_project_ends_on_every_replica(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    async with running_service(service.database_url, **ALLOW_LOOPBACK) as other:
        project = await make_project(service.database_url, members={BOB: ProjectRole.VIEWER})
        filled = await fill(service.client(ADA, project=project))
        key, member = holding(other, filled.key), other.client(BOB, project=project)
        assert (await key.get("/events")).status_code == 200
        assert (await member.get("/events")).status_code == 200

        assert (await delete(ada, project, purge="true")).status_code == 204

        events = await count_events(database, project)
        async with asyncio.timeout(REVOKED_WITHIN * 30):  # bounds a hang only
            for look in (key.get, member.get):
                await eventually(
                    lambda look=look: look("/events"),  # type: ignore[misc]
                    lambda answer: answer.status_code in {401, 404},
                )
        signed = standard(filled.hook)
        for replica in (service, other):
            path = httpx.URL(filled.hook.url).path
            problem_of(await replica.client().post(path, content=BODY, headers=signed), 404)
        path = f"/triggers/{filled.called['id']}/trigger"
        fired = await other.client(ADMIN, project=project).post(path)
        problem_of(fired, 404)
        assert await count_events(database, project) in {0, events}
        listed = (await ada.get("/triggers")).json()
        assert listed == []


async def test_admins_who_read_all_projects_see_nothing_of_a_deleted_one(
    database_url: str, database: Any
) -> None:
    async with idle_service(database_url) as service:
        project = await make_project(database_url)
        inside, overseer = service.client(ADA, project=project), service.client(ADMIN, project="*")
        filled = await fill(inside)
        [delivery] = (await inside.get("/deliveries")).json()
        kept = await make_api(service.client(BOB))

        await delete(service.client(ADA), project, purge="true")

        assert await rows_left(database, project) != {}  # the job has not run
        for path, left in (
            ("/triggers", [kept["id"]]),
            ("/events", []),
            ("/deliveries", []),
            ("/destinations", []),
            ("/events?aggregate=true", []),
        ):
            assert [one["id"] for one in (await overseer.get(path)).json()] == left, path
        for path in (
            f"/events/{filled.event_id}",
            f"/deliveries/{delivery['id']}",
            f"/destinations/{filled.destination['id']}",
            f"/triggers/{filled.called['id']}",
        ):
            problem_of(await overseer.get(path), 404)


async def test_no_row_of_a_deleted_project_is_left(service: Service, database: Any) -> None:
    project = await make_project(service.database_url)
    inside = service.client(ADA, project=project)
    await fill(inside)
    other = await fill(service.client(BOB))
    await eventually(lambda: count_events(database, project), lambda count: count > 1)

    await delete(service.client(ADA), project, purge="true")
    await until_gone(database, project)

    shard = project % 64
    for name in ("idempotency_keys", "delivery_attempts"):
        left = await database.fetchval(f"SELECT count(*) FROM {name} WHERE shard = $1", shard)
        assert left == 0, name
    bobs = await rows_left(database, BOB)
    assert {"triggers", "trigger_tags", "hooks", "destinations", "deliveries"} <= bobs.keys()
    assert bobs["kept_answers"] == 1
    kept = await service.client(BOB).get(f"/events/{other.event_id}")
    assert kept.status_code == 200
    assert await database.fetchval("SELECT count(*) FROM idempotency_keys") == 1


def test_every_table_with_rows_of_projects_is_erased() -> None:
    tables = Base.metadata.tables.values()

    owned = {one.name for one in tables if {"owner_id", "shard"} & set(one.columns.keys())}

    assert {one.name for one in owned_tables()} == owned
    assert {"events", "hooks", "slot_counts", "idempotency_keys"} <= owned


async def test_a_due_trigger_fires_before_the_deletion_or_never(
    service: Service, ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    await make_scheduled(
        service.client(ADA, project=project), {"interval": "PT1S", "recurring": True}
    )
    async with caught_while_firing(service.database_url):
        deleting = asyncio.create_task(delete(ada, project, purge="true"))
        await until_somebody_waits(database, 2)
        assert not deleting.done()

    assert (await deleting).status_code == 204
    fired = await count_events(database, project)
    await asyncio.sleep(2.5)  # two more instants would be due

    assert fired <= 1
    assert await count_events(database, project) <= fired
    assert (await verification(service)).adds_up


async def test_a_waiting_delivery_is_not_sent_after_the_deletion(database_url: str) -> None:
    async with (
        receiving() as receiver,
        running_service(database_url, retry_after=(1.0, 1.0, 1.0), **ALLOW_LOOPBACK) as service,
    ):
        project = await make_project(database_url)
        inside = service.client(ADA, project=project)
        receiver.answers["/hook"] = 500
        filled = await fill(inside, f"{receiver.url}/hook")
        await eventually(lambda: asyncio.sleep(0, len(receiver.received)), lambda count: count > 0)

        await delete(service.client(ADA), project, purge="true")

        sent = len(receiver.received)
        await asyncio.sleep(2.5)  # two more attempts would be due
        assert len(receiver.received) <= sent + 1  # one may have been on its way
        assert filled.event_id > 0


async def test_a_stream_of_a_deleted_project_ends(service: Service) -> None:
    project = await make_project(service.database_url)
    async with listening(service) as url:
        headers = service.client(ADA, project=project).headers
        async with (
            httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
            client.stream("GET", "/events/stream") as stream,
        ):
            lines = stream.aiter_lines()
            assert await anext(lines) == ": following"

            await delete(service.client(ADA), project)

            async with asyncio.timeout(30):
                assert [line async for line in lines if line] == []
        async with following(url, ADA):
            pass


async def test_nothing_is_added_to_a_project_that_is_being_deleted(
    service: Service, ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    inside = service.client(ADA, project=project)
    assert (await inside.get("/triggers")).status_code == 200
    transaction = database.transaction()
    await transaction.start()
    await database.execute("UPDATE projects SET deleted_at = now() WHERE id = $1", project)
    making = [
        asyncio.create_task(inside.post("/triggers", json={"type": "api"})),
        asyncio.create_task(inside.post("/destinations", json={"url": "https://1.1.1.1/"})),
    ]
    async with asyncio.timeout(30):
        await eventually(lambda: service_waits(database), lambda waiting: waiting == len(making))

    await transaction.commit()

    for answer in await asyncio.gather(*making):
        problem_of(answer, 404)
    assert await rows_left(database, project) == {}


async def service_waits(database: Any) -> int:
    await database.execute("SELECT pg_stat_clear_snapshot()")
    return int(
        await database.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
    )


async def test_it_adds_up_before_during_and_after(database_url: str, database: Any) -> None:
    async with running_service(database_url) as service:
        project = await make_project(database_url)
        await fill(service.client(ADA, project=project))
        await fill(service.client(BOB))
        await eventually(lambda: count_events(database, project), lambda count: count > 2)
        before = await verification(service)
    async with idle_service(database_url) as service:
        await delete(service.client(ADA), project, purge="true")
        during = await verification(service)
        await database.execute("DELETE FROM events WHERE owner_id = $1", project)  # half done
        halfway = await verification(service)
        await run_job(database_url)
        after = await verification(service)

    assert [one.adds_up for one in (before, during, halfway, after)] == [True] * 4
    assert before.triggers == during.triggers + 4 == after.triggers + 4
    assert during.totals.fired <= halfway.totals.fired + 1


async def test_a_project_stays_until_no_request_of_before_can_run(
    database_url: str, database: Any
) -> None:
    async with idle_service(database_url) as service:
        project = await make_project(database_url)
        await make_api(service.client(ADA, project=project))
        await delete(service.client(ADA), project, purge="true")

    await run_job(database_url)
    early = await projects_left(database)
    await database.execute(
        "INSERT INTO events (shard, owner_id, trigger_id, type, is_test)"
        " VALUES ($1::bigint % 64, $1, 7, 'api', false)",
        project,
    )
    await settle(database)
    await run_job(database_url)

    assert project in early
    assert project not in await projects_left(database)
    assert await rows_left(database, project) == {}
