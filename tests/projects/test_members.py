"""Owners add members, change their roles and remove them; the last owner stays."""

import asyncio
from typing import Any

import httpx
import pytest

from event_trigger.projects.lifecycle import MAX_OWNED
from event_trigger.projects.members.lifecycle import MAX_MEMBERS
from tests.support.databases import connect
from tests.support.keys import holding, make_key
from tests.support.locks import until_somebody_waits
from tests.support.problems import places_of, problem_of
from tests.support.projects import (
    accept,
    add_member,
    invite,
    make_project,
    roles_in,
    signed_in,
)
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.triggers import make_api

NOBODYS = 987_654_321


async def test_a_member_is_added_by_address(ada: httpx.AsyncClient, project: int) -> None:
    body = {"email": " BOB@Example.com", "role": "operator"}
    answer = await ada.post(f"/projects/{project}/members", json=body)

    made, [first, second] = answer.json(), (await ada.get(f"/projects/{project}/members")).json()
    assert answer.status_code == 201
    assert set(made) == {"user_id", "email", "role", "since"}
    assert (made["user_id"], made["email"], made["role"]) == (BOB, "bob@example.com", "operator")
    assert first == made
    assert (second["user_id"], second["role"]) == (ADA, "owner")


async def test_members_are_listed_in_pages(ada: httpx.AsyncClient, project: int) -> None:
    await add_member(ada, project, BOB)
    await add_member(ada, project, ADMIN)
    seen, url = [], f"/projects/{project}/members?limit=1"

    while url:
        page = await ada.get(url)
        seen += [one["user_id"] for one in page.json()]
        url = page.links.get("next", {}).get("url", "")

    assert seen == [ADMIN, BOB, ADA]


async def test_somebody_without_an_account_has_to_be_invited(
    ada: httpx.AsyncClient, project: int
) -> None:
    body = {"email": "grace@example.com", "role": "viewer"}
    answer = await ada.post(f"/projects/{project}/members", json=body)

    assert places_of(answer) == ["#/email"]
    assert "invitations" in answer.json()["detail"]
    assert "grace" not in answer.text


async def test_nobody_is_a_member_twice(ada: httpx.AsyncClient, project: int) -> None:
    await add_member(ada, project, BOB, "viewer")

    body = {"email": "bob@example.com", "role": "owner"}
    answer = await ada.post(f"/projects/{project}/members", json=body)

    assert problem_of(answer, 409)["type"].endswith(":already-member")
    assert await roles_in(ada, project) == {ADA: "owner", BOB: "viewer"}


async def test_who_asks_for_unknown_addresses_has_to_wait(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    there = await make_project(bob)
    tries = [(f"nobody{number}@example.com", "viewer") for number in range(11)]

    answers = [
        await ada.post(f"/projects/{project}/members", json={"email": email, "role": role})
        for email, role in [*tries, ("bob@example.com", "viewer")]
    ]

    assert [one.status_code for one in answers] == [422] * 10 + [429] * 2
    assert int(answers[-1].headers["retry-after"]) > 0
    assert await roles_in(ada, project) == {ADA: "owner"}
    await add_member(bob, there, ADA)
    await signed_in(service, "ada@example.com")


async def test_addresses_of_accounts_are_not_counted(ada: httpx.AsyncClient, project: int) -> None:
    body = {"email": "bob@example.com", "role": "viewer"}

    statuses = [
        (await ada.post(f"/projects/{project}/members", json=body)).status_code for _ in range(12)
    ]

    assert statuses == [201] + [409] * 11


async def test_nobody_is_made_the_owner_of_more_projects_than_100(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int, database: Any
) -> None:
    await database.execute(
        "WITH made AS (INSERT INTO projects (id, name) SELECT id, 'p' FROM"
        " generate_series(1000, 999 + $2::int) AS id RETURNING id)"
        " INSERT INTO project_members (project_id, user_id, role) SELECT id, $1, 'owner' FROM made",
        BOB,
        MAX_OWNED - 1,  # and his own
    )
    members, body = f"/projects/{project}/members", {"email": "bob@example.com", "role": "owner"}
    token = (await invite(ada, project, "owner"))["token"]

    refused = [await ada.post(members, json=body), await accept(bob, token)]
    await add_member(ada, project, BOB, "editor")
    refused.append(await ada.patch(f"{members}/{BOB}", json={"role": "owner"}))

    for one in refused:
        problem = problem_of(one, 409)
        assert problem["type"].endswith(":too-many-projects")
        assert "This user owns 100 projects" in problem["detail"]
    assert await roles_in(ada, project) == {ADA: "owner", BOB: "editor"}


async def test_a_role_is_what_a_member_may_do_from_then_on(
    service: Service, ada: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, BOB, "viewer")
    there, statuses = service.client(BOB, project=project), []

    for role in ("viewer", "operator", "editor", "owner", "viewer"):
        changed = await ada.patch(f"/projects/{project}/members/{BOB}", json={"role": role})
        unchanged = await ada.patch(f"/projects/{project}/members/{BOB}", json={})
        assert (changed.json()["role"], unchanged.json()["role"]) == (role, role)
        made = await there.post("/triggers", json={"type": "api"})
        renamed = await there.patch(f"/projects/{project}", json={"name": role})
        statuses.append((made.status_code, renamed.status_code))

    assert statuses == [(403, 403), (403, 403), (201, 403), (201, 200), (403, 403)]


@pytest.mark.parametrize("role", ["viewer", "operator", "editor"])
async def test_only_owners_manage_a_project_and_others_are_told_so(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int, role: str
) -> None:
    await add_member(ada, project, BOB, role)
    calls: list[tuple[str, str, Any]] = [
        ("PATCH", "", {"name": "mine"}),
        ("POST", "/members", {"email": "admin@example.com", "role": "owner"}),
        ("PATCH", f"/members/{BOB}", {"role": "owner"}),
        ("DELETE", f"/members/{ADA}", None),
        ("POST", "/invitations", {"role": "owner"}),
        ("GET", "/invitations", None),
        ("DELETE", "/invitations/1", None),
        ("PATCH", "", {"not": "read"}),
    ]

    for method, path, body in calls:
        problem = problem_of(
            await bob.request(method, f"/projects/{project}{path}", json=body), 403
        )
        assert problem["type"].endswith(":owner-required")
        assert f"role owner in the project, and yours is {role}" in problem["detail"]

    assert await roles_in(bob, project) == {ADA: "owner", BOB: role}


async def test_a_project_of_others_answers_as_one_that_does_not_exist(
    bob: httpx.AsyncClient, project: int
) -> None:
    calls: list[tuple[str, str, Any]] = [
        ("GET", "", None),
        ("PATCH", "", {"name": "mine"}),
        ("PATCH", "", {"not": "read"}),
        ("GET", "/members", None),
        ("POST", "/members", {"email": "ada@example.com", "role": "viewer"}),
        ("POST", "/members", {"email": 1}),
        ("PATCH", f"/members/{ADA}", {"role": "viewer"}),
        ("DELETE", f"/members/{ADA}", None),
        ("DELETE", f"/members/{BOB}", None),
        ("POST", "/invitations", {"role": "nothing"}),
        ("GET", "/invitations", None),
        ("DELETE", "/invitations/1", None),
    ]

    for method, path, body in calls:
        theirs = await bob.request(method, f"/projects/{project}{path}", json=body)
        nobodys = await bob.request(method, f"/projects/{NOBODYS}{path}", json=body)

        assert problem_of(theirs, 404) == problem_of(nobodys, 404), (method, path)


async def test_keys_and_narrowed_logins_do_not_manage_members(
    service: Service, project: int
) -> None:
    narrowed = await signed_in(service, "ada@example.com", scope="triggers:read")
    key = holding(service, await make_key(service.client(ADA, project=project)))

    for client in (narrowed, key):
        for method, path in (
            ("GET", "/members"),
            ("POST", "/members"),
            ("PATCH", f"/members/{ADA}"),
            ("DELETE", f"/members/{ADA}"),
            ("POST", "/invitations"),
            ("GET", "/invitations"),
        ):
            answer = await client.request(method, f"/projects/{project}{path}")
            assert problem_of(answer, 403)["type"].endswith(":full-login-required")


async def test_the_last_owner_stays(ada: httpx.AsyncClient, project: int) -> None:
    await add_member(ada, project, BOB, "editor")
    me = f"/projects/{project}/members/{ADA}"

    refused = [await ada.patch(me, json={"role": "editor"}), await ada.delete(me)]
    await ada.patch(f"/projects/{project}/members/{BOB}", json={"role": "owner"})
    left = await ada.delete(me)

    for one in refused:
        assert problem_of(one, 409)["type"].endswith(":last-owner")
    assert left.status_code == 204
    problem_of(await ada.get(f"/projects/{project}"), 404)


async def test_an_owner_who_cannot_sign_in_is_not_counted(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, BOB, "owner")
    await admin.patch(f"/users/{BOB}", json={"disabled": True})

    left = await ada.delete(f"/projects/{project}/members/{ADA}")
    removed = await ada.delete(f"/projects/{project}/members/{BOB}")

    assert problem_of(left, 409)["type"].endswith(":last-owner")
    assert removed.status_code == 204


async def test_a_user_stays_the_owner_of_the_own_project(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await add_member(ada, ADA, BOB, "owner")
    her = f"/projects/{ADA}/members/{ADA}"

    for client in (ada, bob, admin):
        for answer in (await client.patch(her, json={"role": "viewer"}), await client.delete(her)):
            assert problem_of(answer, 409)["type"].endswith(":own-project")

    assert (await bob.delete(f"/projects/{ADA}/members/{BOB}")).status_code == 204


async def test_two_owners_who_demote_each_other_at_once_leave_one(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int, service: Service
) -> None:
    await add_member(ada, project, BOB, "owner")
    holder, watcher = await connect(service.database_url), await connect(service.database_url)

    async with holder.transaction():
        await holder.execute("SELECT 1 FROM projects WHERE id = $1 FOR UPDATE", project)
        demoting = [
            asyncio.create_task(
                client.patch(f"/projects/{project}/members/{other}", json={"role": "viewer"})
            )
            for client, other in ((ada, BOB), (bob, ADA))
        ]
        await until_somebody_waits(watcher, 2)
    answers = await asyncio.gather(*demoting)

    assert sorted(one.status_code for one in answers) == [200, 403]
    assert sorted((await roles_in(ada, project)).values()) == ["owner", "viewer"]
    await asyncio.gather(holder.close(), watcher.close())


async def test_two_owners_who_leave_at_once_leave_one(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, BOB, "owner")

    answers = await asyncio.gather(
        ada.delete(f"/projects/{project}/members/{ADA}"),
        bob.delete(f"/projects/{project}/members/{BOB}"),
    )

    assert sorted(one.status_code for one in answers) == [204, 409]


async def test_an_id_of_no_member_is_not_found(ada: httpx.AsyncClient, project: int) -> None:
    for user_id in (BOB, NOBODYS):
        member = f"/projects/{project}/members/{user_id}"

        problem_of(await ada.patch(member, json={"role": "viewer"}), 404)
        problem_of(await ada.delete(member), 404)


async def test_who_leaves_calls_in_the_own_project_again(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int, database: Any
) -> None:
    await add_member(ada, project, BOB, "editor")
    await database.execute("UPDATE users SET default_project_id = $2 WHERE id = $1", BOB, project)
    other = await signed_in(service, "bob@example.com")
    theirs = await make_api(other)

    left = await bob.delete(f"/projects/{project}/members/{BOB}")

    assert left.status_code == 204
    for client in (bob, other):
        problem_of(await client.get(f"/triggers/{theirs['id']}"), 404)
        assert (await client.get("/triggers")).json() == []


async def test_the_keys_of_a_removed_member_stay_ended(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, BOB, "editor")
    there = holding(service, await make_key(service.client(BOB, project=project)))
    elsewhere = holding(service, await make_key(bob))
    assert (await there.get("/triggers")).status_code == 200

    await ada.delete(f"/projects/{project}/members/{BOB}")
    after_removal = await there.get("/triggers")
    await add_member(ada, project, BOB, "editor")

    problem_of(after_removal, 401)
    problem_of(await there.get("/triggers"), 401)
    assert (await elsewhere.get("/triggers")).status_code == 200


async def test_a_key_that_was_made_while_the_membership_was_lost_does_not_come_back(
    service: Service, ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    await add_member(ada, project, BOB, "editor")
    key = holding(service, await make_key(service.client(BOB, project=project)))

    await database.execute(
        "DELETE FROM project_members WHERE project_id = $1 AND user_id = $2", project, BOB
    )
    await add_member(ada, project, BOB, "editor")

    problem_of(await key.get("/triggers"), 401)


async def test_a_project_has_no_more_members_than_1000(
    ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    await database.execute(
        "WITH made AS (INSERT INTO users (email, password_hash, role)"
        " SELECT number || '@example.com', '!', 'user' FROM generate_series(2, $2::int) AS number"
        " RETURNING id) INSERT INTO project_members (project_id, user_id, role)"
        " SELECT $1, id, 'viewer' FROM made",
        project,
        MAX_MEMBERS,
    )

    body = {"email": "bob@example.com", "role": "viewer"}
    problem = problem_of(await ada.post(f"/projects/{project}/members", json=body), 409)

    assert problem["type"].endswith(":too-many-members")
    assert "1000" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, ["#/email", "#/role"]),
        ({"email": "bob@example.com", "role": "admin"}, ["#/role"]),
        ({"email": "bob@example.com", "role": "Owner"}, ["#/role"]),
        ({"email": 1, "role": None}, ["#/email", "#/role"]),
        ({"email": "x" * 321, "role": "viewer"}, ["#/email"]),
        ({"email": "", "role": "viewer"}, ["#/email"]),
        ({"email": "\u202e\U0001f469@\x1b", "role": "viewer"}, ["#/email"]),
        ({"email": "'; DROP TABLE users; --", "role": "viewer"}, ["#/email"]),
        ({"email": "bob@example.com", "role": "viewer", "since": "now"}, ["#/since"]),
    ],
)
async def test_what_is_no_member_is_refused_with_the_place(
    ada: httpx.AsyncClient, project: int, body: dict[str, Any], places: list[str]
) -> None:
    answer = await ada.post(f"/projects/{project}/members", json=body)

    assert places_of(answer) == places


async def test_each_change_is_in_the_log_of_the_project(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, service: Service, database: Any
) -> None:
    project = await make_project(ada, "Before")
    await ada.patch(f"/projects/{project}", json={"name": "After"})
    await add_member(ada, project, BOB, "viewer")
    await ada.patch(f"/projects/{project}/members/{BOB}", json={"role": "editor"})
    await make_key(service.client(BOB, project=project))
    await database.execute("UPDATE project_members SET role = 'owner' WHERE user_id = $1", BOB)
    await invite(service.client(BOB), project)
    await ada.delete(f"/projects/{project}/members/{BOB}")

    owners = await database.fetch("SELECT project_id FROM audit_entries")
    entries = [
        (one["action"], one["target"], one["target_id"], one["before"], one["after"])
        for one in reversed((await admin.get("/audit")).json())
    ]
    assert entries[:4] == [
        ("create_project", "project", project, None, {"name": "Before"}),
        ("update_project", "project", project, {"name": "Before"}, {"name": "After"}),
        ("add_member", "member", BOB, None, {"role": "viewer"}),
        ("update_member", "member", BOB, {"role": "viewer"}, {"role": "editor"}),
    ]
    assert entries[-1] == (
        "remove_member",
        "member",
        BOB,
        {"role": "owner"},
        {"ended_keys": 1, "withdrawn_invitations": 1},
    )
    assert {one["project_id"] for one in owners} == {project}
