"""Callers are told who they are, what they may do, and in which projects."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.keys import ALL_SCOPES, holding, make_key
from tests.support.logins import sign_in
from tests.support.memberships import add_project, remove_member
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.waiting import REVOKED_WITHIN

READING = ["destinations:read", "events:read", "triggers:read"]


async def me(client: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    answer = await client.get("/auth/me", headers=headers)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def choose(client: httpx.AsyncClient, project_id: Any) -> httpx.Response:
    return await client.patch("/auth/me", json={"default_project_id": project_id})


async def test_a_user_is_told_all_about_this_call(ada: httpx.AsyncClient, service: Service) -> None:
    team = await add_project(service, BOB, {ADA: "viewer"})

    found = await me(ada)

    own = {"id": ADA, "name": "ada@example.com", "role": "owner"}
    expires_at = found.pop("expires_at")
    assert found.pop("created_at") is not None
    assert expires_at is not None
    assert found == {
        "id": ADA,
        "email": "ada@example.com",
        "role": "user",
        "disabled_at": None,
        "scopes": sorted(ALL_SCOPES),
        "project": own,
        "projects": [own, {"id": team, "name": "a team", "role": "viewer"}],
        "default_project_id": ADA,
    }


async def test_scopes_are_those_of_the_project_that_is_named(
    ada: httpx.AsyncClient, service: Service
) -> None:
    team = await add_project(service, BOB, {ADA: "viewer"})
    narrowed = service.client()
    narrowed.headers.update((await sign_in(narrowed, scope="triggers:read triggers:write")).headers)

    there, here = await me(ada, **{"X-Project-ID": str(team)}), await me(ada)

    assert there["project"] == {"id": team, "name": "a team", "role": "viewer"}
    assert there["scopes"] == READING
    assert (here["project"]["id"], there["default_project_id"]) == (ADA, ADA)
    assert (await me(narrowed))["scopes"] == ["triggers:read", "triggers:write"]
    assert (await me(narrowed, **{"X-Project-ID": str(team)}))["scopes"] == ["triggers:read"]


async def test_a_project_of_others_is_as_none(ada: httpx.AsyncClient, service: Service) -> None:
    team = await add_project(service, BOB)

    theirs, none = [
        await ada.get("/auth/me", headers={"X-Project-ID": str(one)}) for one in (team, 10**9)
    ]

    assert problem_of(theirs, 404) == problem_of(none, 404)
    assert (await me(ada))["project"]["id"] == ADA


async def test_an_admin_may_name_all_projects_or_one(service: Service) -> None:
    admin, team = service.client(ADMIN), await add_project(service, BOB)

    everywhere = await me(admin, **{"X-Project-ID": "*"})
    there = await me(admin, **{"X-Project-ID": str(team)})

    assert everywhere["project"] is None
    assert "admin" in everywhere["scopes"]
    assert there["project"] == {"id": team, "name": "a team", "role": "owner"}
    assert [one["id"] for one in there["projects"]] == [ADMIN]


async def test_a_key_knows_its_own_project_only(bob: httpx.AsyncClient, service: Service) -> None:
    team = await add_project(service, ADA, {BOB: "operator"})
    bob.headers["X-Project-ID"] = str(team)
    made = await make_key(bob, "triggers:fire", "triggers:read")
    key = holding(service, made)

    found = await me(key)

    project = {"id": team, "name": "a team", "role": "operator"}
    assert (found["id"], found["email"]) == (BOB, "bob@example.com")
    assert found["scopes"] == ["triggers:fire", "triggers:read"]
    assert found["expires_at"] == made["expires_at"]
    assert (found["project"], found["projects"]) == (project, [project])
    assert found["default_project_id"] == team
    problem_of(await key.get("/auth/me", headers={"X-Project-ID": str(BOB)}), 404)


async def test_the_default_project_is_where_calls_without_a_name_happen(
    bob: httpx.AsyncClient, service: Service, elsewhere: Service, database: Any
) -> None:
    team, there = await add_project(service, ADA, {BOB: "editor"}), elsewhere.client(BOB)
    assert (await me(there))["project"]["id"] == BOB

    chosen = await choose(bob, team)

    assert chosen.status_code == 200
    assert chosen.json() == await me(bob)
    assert chosen.json()["project"] == {"id": team, "name": "a team", "role": "editor"}
    assert chosen.json()["default_project_id"] == team
    made = (await bob.post("/triggers", json={"type": "api"})).json()
    ada = service.client(ADA, project=team)
    assert [one["id"] for one in (await ada.get("/triggers")).json()] == [made["id"]]
    await asyncio.sleep(REVOKED_WITHIN)
    assert (await me(there))["project"]["id"] == team
    entry = await database.fetchrow("SELECT * FROM audit_entries WHERE action = 'update_me'")
    assert (entry["target"], entry["target_id"], entry["user_id"]) == ("user", BOB, BOB)

    back = await choose(bob, None)

    assert (back.json()["default_project_id"], back.json()["project"]["id"]) == (BOB, BOB)
    assert (await bob.get("/triggers")).json() == []


async def test_nothing_that_is_sent_changes_nothing(
    bob: httpx.AsyncClient, service: Service
) -> None:
    team = await add_project(service, ADA, {BOB: "editor"})
    await choose(bob, team)

    answer = await bob.patch("/auth/me", json={})

    assert answer.json()["default_project_id"] == team


@pytest.mark.parametrize("wanted", [ADA, 10**9, 2**63 - 1, 0, -1, 2**63, "2", 2.5, True, [2]])
async def test_the_default_must_be_a_project_of_ones_own(
    bob: httpx.AsyncClient, wanted: Any
) -> None:
    refused = await choose(bob, wanted)

    assert places_of(refused) == ["#/default_project_id"]
    assert (await me(bob))["default_project_id"] == BOB


async def test_a_foreign_default_is_refused_like_one_that_is_none(
    bob: httpx.AsyncClient, admin: httpx.AsyncClient, service: Service
) -> None:
    team = await add_project(service, ADA)

    for client in (bob, admin):  # an admin may enter it, and is no member
        answers = [problem_of(await choose(client, one), 422) for one in (team, 10**9)]
        assert answers[0] == answers[1]


async def test_who_leaves_the_default_project_is_back_in_the_first(
    bob: httpx.AsyncClient, service: Service
) -> None:
    team = await add_project(service, ADA, {BOB: "editor"})
    await choose(bob, team)

    await remove_member(service, team, BOB)
    await asyncio.sleep(REVOKED_WITHIN)

    found = await me(bob)
    assert (found["project"]["id"], found["default_project_id"]) == (BOB, BOB)
    assert [one["id"] for one in found["projects"]] == [BOB]


async def test_only_a_full_login_chooses(bob: httpx.AsyncClient, service: Service) -> None:
    narrowed, machine = service.client(), holding(service, await make_key(bob))
    narrowed.headers.update(
        (await sign_in(narrowed, "bob@example.com", scope="events:read")).headers
    )

    slugs = [
        problem_of(await choose(client, BOB), 403)["type"].rpartition(":")[2]
        for client in (narrowed, machine)
    ]

    assert slugs == ["narrowed-login", "for-logins-only"]
