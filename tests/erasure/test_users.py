"""An erased user is gone on every replica, with the own project, and out of the audit log."""

import asyncio
import re
from typing import Any

import httpx

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.erasure.job import ProjectErasure
from event_trigger.models import ProjectRole
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
from tests.support.keys import holding, make_key
from tests.support.locks import until_somebody_waits
from tests.support.logins import ask_for_tokens, sign_in, tokens_of
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, BOB, PASSWORD, Service, idle_service, running_service
from tests.support.triggers import change, make_api
from tests.support.waiting import eventually

ADAS = "ada@example.com"
WRONG = "not the password at all"


async def erase_me(client: httpx.AsyncClient, password: str = PASSWORD) -> httpx.Response:
    return await client.request("DELETE", "/auth/me", json={"password": password})


async def whole_log(database: Any) -> str:
    rows = await database.fetch("SELECT CAST(audit_entries AS text) AS entry FROM audit_entries")
    return "\n".join(row["entry"] for row in rows)


def names_ada(log: str) -> bool:
    return re.search(r"(?<!l)ada@", log, re.IGNORECASE) is not None


async def test_an_admin_erases_a_user_with_the_own_project(
    service: Service, admin: httpx.AsyncClient, ada: httpx.AsyncClient, database: Any
) -> None:
    await fill(ada)
    await make_api(service.client(BOB))

    answer = await admin.delete(f"/users/{ADA}")

    assert answer.status_code == 200
    ended = answer.json()
    assert ended.pop("triggers") in {5, 6}  # one deletes itself within seconds
    assert ended == {
        "projects": 1,
        "destinations": 1,
        "keys": 1,
        "logins": 1,
    }
    problem_of(await admin.delete(f"/users/{ADA}"), 404)
    assert [one["id"] for one in (await admin.get("/users")).json()] == [BOB, ADMIN]
    problem_of(await admin.patch(f"/users/{ADA}", json={}), 404)
    problem_of(await ask_for_tokens(service.client(), ADAS), 401)
    await until_gone(database, ADA)
    assert (await rows_left(database, BOB))["triggers"] == 1
    assert (await verification(service)).adds_up


async def test_an_erased_users_credentials_end_on_every_replica(
    service: Service, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    async with running_service(service.database_url) as other:
        shared = await make_project(
            service.database_url, owner=BOB, members={ADA: ProjectRole.EDITOR}
        )
        key = holding(other, await make_key(other.client(ADA, project=shared)))
        login = other.client(ADA)
        for client in (key, login):
            assert (await client.get("/triggers")).status_code == 200

        await admin.delete(f"/users/{ADA}")

        for client in (key, login):
            await eventually(
                lambda client=client: client.get("/triggers"),  # type: ignore[misc]
                lambda answer: answer.status_code == 401,
                within=30,
            )
        bob = other.client(BOB, project=shared)
        assert (await bob.get("/triggers")).status_code == 200


async def test_a_user_erases_itself_with_the_password(
    service: Service, anonymous: httpx.AsyncClient, ada: httpx.AsyncClient
) -> None:
    wrong = problem_of(await erase_me(ada, WRONG), 422)
    still = await ada.get("/auth/me")

    answer = await erase_me(ada)

    assert wrong["type"] == "urn:event-trigger:problem:wrong-password"
    assert still.status_code == 200
    assert (answer.status_code, answer.json()["projects"]) == (200, 1)
    problem_of(await ada.get("/auth/me"), 401)
    problem_of(await ask_for_tokens(anonymous, ADAS), 401)
    assert (await service.client(BOB).get("/triggers")).status_code == 200


async def test_erasing_oneself_needs_a_whole_login_and_a_good_body(
    service: Service, anonymous: httpx.AsyncClient, ada: httpx.AsyncClient
) -> None:
    key = holding(service, await make_key(ada))
    narrowed = service.client()
    narrowed.headers.update((await sign_in(anonymous, scope="triggers:write")).headers)

    problem_of(await erase_me(key), 403)
    problem_of(await erase_me(narrowed), 403)
    problem_of(await erase_me(anonymous), 401)
    assert places_of(await ada.request("DELETE", "/auth/me", json={})) == ["#/password"]
    assert places_of(await ada.request("DELETE", "/auth/me", json={"password": 1})) == [
        "#/password"
    ]
    problem_of(await ada.request("DELETE", "/auth/me", content=b"x"), 415)
    problem_of(await ada.delete("/auth/me"), 422)
    problem_of(await ada.delete(f"/users/{BOB}"), 403)


async def test_wrong_passwords_are_slowed_as_they_are_at_sign_in(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    for _ in range(9):
        problem_of(await erase_me(ada, WRONG), 422)
    problem_of(await ask_for_tokens(anonymous, ADAS, WRONG), 401)

    limited = problem_of(await erase_me(ada), 429)

    assert limited["type"] == "urn:event-trigger:problem:too-many-failures"
    problem_of(await ask_for_tokens(anonymous, ADAS), 429)


async def test_the_last_admin_cannot_be_erased(service: Service, admin: httpx.AsyncClient) -> None:
    by_itself = problem_of(await erase_me(admin), 409)
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})

    answer = await service.client(BOB).delete(f"/users/{ADMIN}")

    assert by_itself["type"] == "urn:event-trigger:problem:last-admin"
    assert answer.status_code == 200
    users = (await service.client(BOB).get("/users")).json()
    assert [one["id"] for one in users] == [BOB, ADA]


async def test_an_admin_erases_itself_only_with_the_password(
    admin: httpx.AsyncClient,
) -> None:
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})

    problem = problem_of(await admin.delete(f"/users/{ADMIN}"), 409)

    assert problem["type"] == "urn:event-trigger:problem:own-account"
    assert "DELETE /auth/me" in problem["detail"]
    assert (await erase_me(admin)).status_code == 200


async def test_erasing_somebody_else_than_an_admin_waits_for_no_admin(
    service: Service, ada: httpx.AsyncClient
) -> None:
    holder = await connect(service.database_url)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", ADMIN)

        answer = await erase_me(ada)

    await holder.close()
    assert answer.status_code == 200


async def test_a_login_that_is_refreshed_while_its_user_is_erased_just_ends(
    service: Service, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient, database: Any
) -> None:
    refresh_token = tokens_of(await ask_for_tokens(anonymous, ADAS)).refresh
    holder = await connect(service.database_url)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM logins WHERE user_id = $1 FOR UPDATE", ADA)
        erasing = asyncio.create_task(admin.delete(f"/users/{ADA}"))
        await until_somebody_waits(database)
        refreshing = asyncio.create_task(
            anonymous.post("/auth/refresh", json={"refresh_token": refresh_token})
        )
        await until_somebody_waits(database, 2)

    answers = await asyncio.gather(erasing, refreshing)

    await holder.close()
    assert [one.status_code for one in answers] == [200, 401]


async def test_a_project_of_several_keeps_its_only_owner(
    service: Service, admin: httpx.AsyncClient, ada: httpx.AsyncClient, database: Any
) -> None:
    orders = await make_project(service.database_url, "Orders", members={BOB: ProjectRole.EDITOR})
    alone = await make_project(service.database_url, "Alone")
    for refused in (await admin.delete(f"/users/{ADA}"), await erase_me(ada)):
        problem = problem_of(refused, 409)
        assert f"{orders} (Orders)" in problem["detail"]
        assert "Alone" not in problem["detail"]
    await database.execute(
        "UPDATE project_members SET role = 'owner' WHERE project_id = $1 AND user_id = $2",
        orders,
        BOB,
    )

    answer = await admin.delete(f"/users/{ADA}")

    assert answer.json()["projects"] == 2
    await settle(database)
    await eventually(lambda: projects_left(database), lambda ids: list(ids) == [ADMIN, BOB, orders])
    assert alone not in await projects_left(database)


async def test_an_own_project_with_other_members_is_not_deleted_under_them(
    admin: httpx.AsyncClient, ada: httpx.AsyncClient, database: Any
) -> None:
    await join(database, ADA, BOB, ProjectRole.OWNER)

    for refused in (await admin.delete(f"/users/{ADA}"), await erase_me(ada)):
        problem = problem_of(refused, 409)
        assert problem["type"] == "urn:event-trigger:problem:still-needed"
        assert f"Project {ADA} is the user's own" in problem["detail"]
    await database.execute("DELETE FROM project_members WHERE project_id <> user_id")

    assert (await erase_me(ada)).status_code == 200


async def test_the_audit_log_holds_no_address_of_an_erased_user(
    service: Service, admin: httpx.AsyncClient, ada: httpx.AsyncClient, database: Any
) -> None:
    shared = await make_project(service.database_url, owner=BOB, members={ADA: ProjectRole.EDITOR})
    await change(ada, (await make_api(ada, name="Ada's own"))["id"], {"name": "Ada's other"})
    text = f"tell ADA@example.com\nor lada@example.com, {ADAS}"
    await make_api(service.client(BOB, project=shared), name=text, payload={"to": [ADAS]})
    await ask_for_tokens(service.client(), "Ada@Example.com", WRONG)
    await admin.patch(f"/users/{ADA}", json={"role": "admin"})
    await admin.patch(f"/users/{ADA}", json={"role": "user"})
    await database.execute(
        "INSERT INTO audit_entries (actor, action, target, target_id, refused, before, after)"
        " VALUES ('operator', 'user add', 'user', $1, false, NULL, $2)",
        ADA,
        '{"email": "ada@example.com", "role": "user"}',
    )

    await erase_me(ada)

    log = await eventually(lambda: whole_log(database), lambda log: not names_ada(log))
    assert "lada@example.com" in log
    assert "(erased)" in log
    assert "Ada's" not in log
    rows = await database.fetch(
        "SELECT address FROM audit_entries WHERE user_id = $1 OR action = 'sign_in'", ADA
    )
    assert {row["address"] for row in rows} == {None}
    erasure = (await admin.get("/audit", params={"action": "erase_me"})).json()
    assert [one["after"]["erased"]["projects"] for one in erasure] == [1]
    assert [one["user_id"] for one in erasure] == [ADA]


async def test_the_entries_of_every_project_that_goes_lose_their_content(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    alone = await make_project(service.database_url, "Alone")
    shared = await make_project(service.database_url, owner=BOB, members={ADA: ProjectRole.EDITOR})
    for project in (alone, shared):
        await make_api(service.client(ADA, project=project), name=f"Trigger of {project}")

    await erase_me(ada)

    log = await eventually(
        lambda: whole_log(database), lambda log: f"Trigger of {alone}" not in log
    )
    assert f"Trigger of {shared}" in log
    await until_gone(database, alone)


async def test_an_address_in_another_script_leaves_the_log_too(
    service: Service, admin: httpx.AsyncClient, database: Any
) -> None:
    async with running_service(service.database_url, open_registration=True) as opened:
        body = {"email": "анна@example.com", "password": PASSWORD}
        made = (await opened.client().post("/auth/register", json=body)).json()

    await admin.delete(f"/users/{made['id']}")

    await until_gone(database, made["id"])
    log = await whole_log(database)
    assert "\\u0430\\u043d\\u043d\\u0430" not in log
    assert "анна" not in log
    assert "erase_user" in log


async def test_entries_of_the_last_moment_lose_the_address_before_the_project_is_gone(
    database_url: str, database: Any
) -> None:
    async with idle_service(database_url) as service:
        await erase_me(service.client(ADA))
    await run_job(database_url)
    await database.execute(
        "INSERT INTO audit_entries (actor, action, target, refused, after)"
        " VALUES ('anonymous', 'sign_in', 'user', true, $1)",
        '{"email": "ada@example.com", "failures": 1}',
    )
    await settle(database)

    await run_job(database_url)

    assert ADAS not in await whole_log(database)
    assert ADA not in await projects_left(database)


async def test_a_redacted_entry_is_not_written_again(database_url: str, database: Any) -> None:
    rows = "SELECT CAST(xmin AS text) FROM audit_entries ORDER BY id"
    async with idle_service(database_url) as service:
        ada = service.client(ADA)
        await make_api(ada)
        await erase_me(ada)
    await run_job(database_url)
    redacted = await database.fetch(rows)

    await run_job(database_url)

    assert await database.fetch(rows) == redacted


async def test_processes_that_take_turns_forget_no_address_that_is_still_in_the_log(
    database_url: str, database: Any
) -> None:
    async with idle_service(database_url) as service:
        await erase_me(service.client(ADA))
    await database.execute(
        "INSERT INTO audit_entries (actor, action, target, refused, after)"
        " SELECT 'login', 'x', 'user', false, CASE WHEN number % 100 = 0 THEN $1::jsonb END"
        " FROM generate_series(1, 12000) AS number",  # more than two batches
        '{"email": "ada@example.com"}',
    )
    await settle(database)
    engine = create_engine(database_url)

    async def work() -> None:
        job, reader = ProjectErasure(create_sessions(engine)), await connect(database_url)
        while ADA in await projects_left(reader):
            await job.run()
        await reader.close()

    await asyncio.gather(*(work() for _ in range(3)))

    await engine.dispose()
    assert ADAS not in await whole_log(database)


async def test_redacting_for_the_operator_waits_for_a_process_that_is_at_it(
    database_url: str, database: Any
) -> None:
    async with idle_service(database_url) as service:
        await erase_me(service.client(ADA))
    await database.execute(
        "INSERT INTO audit_entries (actor, action, target, refused, after)"
        " VALUES ('operator', 'user add', 'user', false, $1)",
        '{"email": "ada@example.com"}',
    )
    engine, holder = create_engine(database_url), await connect(database_url)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM projects WHERE id = $1 FOR UPDATE", ADA)
        redacting = asyncio.create_task(ProjectErasure(create_sessions(engine)).redact())
        await until_somebody_waits(database)

    await redacting

    await asyncio.gather(engine.dispose(), holder.close())
    assert ADAS not in await whole_log(database)


async def test_an_id_is_never_given_out_again(
    service: Service, admin: httpx.AsyncClient, database: Any
) -> None:
    async with running_service(service.database_url, open_registration=True) as opened:
        anonymous = opened.client()
        body = {"email": "eve@example.com", "password": PASSWORD}
        newest = (await anonymous.post("/auth/register", json=body)).json()["id"]
        await admin.delete(f"/users/{newest}")
        await until_gone(database, newest)

        project = await make_project(service.database_url)
        again = (await anonymous.post("/auth/register", json=body)).json()["id"]

    assert newest < project < again
    assert await projects_left(database) == [ADMIN, ADA, BOB, project, again]


async def test_two_who_erase_the_same_user_count_it_once(
    service: Service, admin: httpx.AsyncClient, ada: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(
        admin.delete(f"/users/{ADA}"), erase_me(ada), admin.delete(f"/users/{ADA}")
    )

    assert sorted(one.status_code for one in answers).count(200) == 1
    assert {one.status_code for one in answers} <= {200, 401, 404, 409}
    assert (await admin.get("/users")).status_code == 200


async def test_a_user_who_is_erased_while_the_password_is_checked_is_not_told_that_it_is_wrong(
    service: Service, admin: httpx.AsyncClient, ada: httpx.AsyncClient, database: Any
) -> None:
    holder = await connect(service.database_url)
    async with holder.transaction():
        await holder.execute("LOCK TABLE sign_in_failures IN EXCLUSIVE MODE")
        erasing = asyncio.create_task(erase_me(ada))
        await until_somebody_waits(database)
        assert (await admin.delete(f"/users/{ADA}")).status_code == 200
    await holder.close()

    problem_of(await erasing, 401)


async def test_a_login_whose_user_is_gone_is_refused_also_before_this_process_has_heard_of_it(
    ada: httpx.AsyncClient, database: Any
) -> None:
    assert (await ada.get("/auth/me")).status_code == 200
    await database.execute("DELETE FROM users WHERE id = $1", ADA)

    problem_of(await ada.get("/auth/me"), 401)
    problem_of(await erase_me(ada), 401)


async def test_a_user_whom_an_older_version_added_has_no_project_and_can_be_erased(
    admin: httpx.AsyncClient, database: Any
) -> None:
    user_id = await database.fetchval(
        "INSERT INTO users (email, password_hash, role) VALUES ('old@example.com', '!', 'user')"
        " RETURNING id"
    )

    answer = await admin.delete(f"/users/{user_id}")

    assert (answer.status_code, answer.json()["projects"]) == (200, 1)
    await until_gone(database, user_id)
