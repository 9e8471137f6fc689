"""An invitation is a link that adds one member, once and within 7 days, with or without account."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from event_trigger.auth.logins.throttle import REGISTRATION_ALLOWANCE
from event_trigger.projects.invitations.lifecycle import MAX_OPEN
from event_trigger.projects.repository import Invitations
from event_trigger.web.dependencies import state_of
from tests.support.databases import connect
from tests.support.keys import holding, make_key
from tests.support.locks import until_somebody_waits
from tests.support.logins import ask_for_tokens
from tests.support.problems import places_of, problem_of
from tests.support.projects import (
    accept,
    add_member,
    invite,
    make_project,
    make_user,
    roles_in,
    signed_in,
)
from tests.support.services import ADA, ADMIN, BOB, PASSWORD, Service, running_service

GRACE = {"email": "grace@example.com", "password": PASSWORD}


async def test_an_invitation_is_a_link_whose_token_is_shown_once_and_not_stored(
    ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    made = await invite(ada, project, "operator", email="Bob@Example.com")

    listed = await ada.get(f"/projects/{project}/invitations")
    stored = await database.fetchval("SELECT invitations::text FROM invitations")
    assert made["url"] == f"http://service.test/invitations/accept#{made['token']}"
    assert len(made["token"]) == 43
    assert (made["role"], made["email"], made["made_by"]) == ("operator", "bob@example.com", ADA)
    assert made["token"] not in listed.text + stored
    assert listed.json() == [
        {name: value for name, value in made.items() if name not in {"url", "token", "mailed"}}
    ]


async def test_the_link_begins_with_the_public_url(database_url: str) -> None:
    public = "https://events.example.com/et"
    async with running_service(database_url, public_url=public) as service:
        ada = service.client(ADA)
        made = await invite(ada, await make_project(ada))

    assert made["url"] == f"{public}/invitations/accept#{made['token']}"


async def test_the_link_opens_a_form_and_the_browser_keeps_the_token_to_itself(
    anonymous: httpx.AsyncClient,
) -> None:
    answer = await anonymous.get("/invitations/accept")

    assert (answer.status_code, answer.headers["location"]) == (303, "../console/invitation")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert (await anonymous.get("/invitations/../console/invitation")).status_code == 200


async def test_somebody_who_is_signed_in_joins(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    made = await invite(ada, project, "operator")

    answer = await accept(bob, made["token"])

    assert answer.status_code == 200
    assert (answer.json()["id"], answer.json()["role"]) == (project, "operator")
    assert answer.json() in (await bob.get("/projects")).json()
    assert await roles_in(ada, project) == {ADA: "owner", BOB: "operator"}
    assert (await ada.get(f"/projects/{project}/invitations")).json() == []


async def test_the_whole_link_is_accepted_too(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    made = await invite(ada, project)

    answer = await accept(bob, f" {made['url']}\n")

    assert answer.status_code == 200


async def test_somebody_without_an_account_registers_and_joins_though_sign_up_is_closed(
    service: Service, anonymous: httpx.AsyncClient, ada: httpx.AsyncClient, project: int
) -> None:
    made = await invite(ada, project, "editor")
    problem_of(await anonymous.post("/auth/register", json=GRACE), 403)

    answer = await accept(anonymous, made["token"], **GRACE)

    assert (answer.status_code, answer.json()["role"]) == (200, "editor")
    grace = await signed_in(service, GRACE["email"])
    me = (await grace.get("/auth/me")).json()
    assert me["role"] == "user"
    assert [(one["id"], one["role"]) for one in (await grace.get("/projects")).json()] == [
        (me["id"], "owner"),
        (project, "editor"),
    ]


async def test_without_a_credential_an_address_and_a_password_are_needed(
    anonymous: httpx.AsyncClient, ada: httpx.AsyncClient, project: int
) -> None:
    token = (await invite(ada, project))["token"]

    neither = await accept(anonymous, token)
    weak = await accept(anonymous, token, email="no address", password="short")
    signed = await accept(ada, token, **GRACE)

    for answer in (neither, weak, signed):
        assert places_of(answer) == ["#/email", "#/password"]
        assert "short" not in answer.text


async def test_a_bad_credential_is_not_taken_for_none(
    anonymous: httpx.AsyncClient, ada: httpx.AsyncClient, project: int
) -> None:
    token = (await invite(ada, project))["token"]

    for header in ({"Authorization": "Bearer no"}, {"X-API-Key": "etk_no"}, {"Authorization": "a"}):
        anonymous.headers.update(header)
        problem_of(await accept(anonymous, token, **GRACE), 401)
        anonymous.headers.pop(next(iter(header)))


async def test_keys_and_narrowed_logins_do_not_join(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    token = (await invite(ada, project))["token"]
    narrowed = await signed_in(service, "bob@example.com", scope="triggers:read")

    for client in (narrowed, holding(service, await make_key(bob))):
        assert problem_of(await accept(client, token), 403)["type"].endswith("full-login-required")


End = Callable[[httpx.AsyncClient, int, dict[str, Any], Any], Awaitable[Any]]


async def _use(ada: httpx.AsyncClient, project: int, made: dict[str, Any], database: Any) -> None:
    await database.execute("UPDATE invitations SET accepted_at = now()")


async def _expire(
    ada: httpx.AsyncClient, project: int, made: dict[str, Any], database: Any
) -> None:
    await database.execute("UPDATE invitations SET expires_at = now()")


async def _withdraw(
    ada: httpx.AsyncClient, project: int, made: dict[str, Any], database: Any
) -> None:
    answer = await ada.delete(f"/projects/{project}/invitations/{made['id']}")
    assert answer.status_code == 204


async def _demote(
    ada: httpx.AsyncClient, project: int, made: dict[str, Any], database: Any
) -> None:
    """Makes Ada an editor, and an owner again: what she made before stays ended."""
    answer = await ada.patch(f"/projects/{project}/members/{ADA}", json={"role": "editor"})
    assert answer.status_code == 200
    await database.execute("UPDATE project_members SET role = 'owner' WHERE user_id = $1", ADA)


async def _leave(ada: httpx.AsyncClient, project: int, made: dict[str, Any], database: Any) -> None:
    assert (await ada.delete(f"/projects/{project}/members/{ADA}")).status_code == 204


async def _disable(
    ada: httpx.AsyncClient, project: int, made: dict[str, Any], database: Any
) -> None:
    await database.execute("UPDATE users SET disabled_at = now() WHERE id = $1", ADA)


async def _delete_project(
    ada: httpx.AsyncClient, project: int, made: dict[str, Any], database: Any
) -> None:
    await database.execute("UPDATE projects SET deleted_at = now() WHERE id = $1", project)


@pytest.mark.parametrize(
    "end", [_use, _expire, _withdraw, _demote, _leave, _disable, _delete_project]
)
async def test_an_invitation_that_has_ended_answers_as_one_that_never_was(
    service: Service,
    ada: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    project: int,
    database: Any,
    end: End,
) -> None:
    await add_member(ada, project, ADMIN, "owner")
    made = await invite(ada, project)

    await end(ada, project, made, database)

    unknown, text = await accept(bob, "x" * 43), GRACE["password"]
    assert problem_of(unknown, 404)["type"].endswith(":invitation-refused")
    assert (await accept(bob, made["token"])).json() == unknown.json()
    for token in (made["token"], "x" * 43):
        answer = await accept(service.client(), token, email="grace@example.com", password=text)
        assert answer.json() == unknown.json()
    assert await database.fetchval("SELECT count(*) FROM users") == 3


async def test_an_invitation_that_names_an_address_is_for_that_account(
    anonymous: httpx.AsyncClient, ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    for_bob = await invite(ada, project, "viewer", email="bob@example.com")
    for_grace = await invite(ada, project, "viewer", email="grace@example.com")

    wrong = [
        await accept(bob, for_grace["token"]),
        await accept(anonymous, for_bob["token"], **GRACE),
    ]
    right = [
        await accept(bob, for_bob["token"]),
        await accept(anonymous, for_grace["token"], **{**GRACE, "email": "GRACE@example.com"}),
    ]

    for one in wrong:
        assert problem_of(one, 403)["type"].endswith(":invitation-for-another")
        assert "@" not in one.text
    assert [one.status_code for one in right] == [200, 200]


async def test_an_address_that_has_an_account_does_not_use_the_invitation_up(
    anonymous: httpx.AsyncClient, ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    token = (await invite(ada, project))["token"]

    taken = await accept(anonymous, token, email="bob@example.com", password="another password 1")
    member = await accept(ada, token)

    problem_of(taken, 409)
    assert problem_of(member, 409)["type"].endswith(":already-member")
    problem_of(await ask_for_tokens(anonymous, "bob@example.com", "another password 1"), 401)
    assert (await accept(bob, token)).status_code == 200


async def test_of_two_who_accept_an_invitation_at_once_one_joins(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    token = (await invite(ada, project))["token"]
    carol = await make_user(service, "carol@example.com")
    holder, watcher = await connect(service.database_url), await connect(service.database_url)

    async with holder.transaction():
        await holder.execute("SELECT 1 FROM projects WHERE id = $1 FOR UPDATE", project)
        accepting = [
            asyncio.create_task(one)
            for one in (
                accept(bob, token),
                accept(await signed_in(service, "carol@example.com"), token),
                accept(service.client(), token, **GRACE),
            )
        ]
        await until_somebody_waits(watcher, 3)
    answers = await asyncio.gather(*accepting)

    assert sorted(one.status_code for one in answers) == [200, 404, 404]
    roles, users = (
        await roles_in(ada, project),
        await watcher.fetchval("SELECT count(*) FROM users"),
    )
    assert len(roles) == 2
    assert users == (4 if {BOB, carol} & roles.keys() else 5)
    await asyncio.gather(holder.close(), watcher.close())


async def test_registering_with_invitations_is_counted_as_every_registration(
    service: Service, anonymous: httpx.AsyncClient, ada: httpx.AsyncClient, project: int
) -> None:
    token, allowed = (await invite(ada, project))["token"], REGISTRATION_ALLOWANCE.failures
    taken = {"email": "bob@example.com", "password": PASSWORD}

    unknown = [await accept(anonymous, "x" * 43, **taken) for _ in range(3)]
    counted = [await accept(anonymous, token, **taken) for _ in range(allowed + 1)]

    assert {one.status_code for one in unknown} == {404}
    assert [one.status_code for one in counted] == [409] * allowed + [429]
    assert "retry-after" in counted[-1].headers
    assert (await accept(service.client(BOB), token)).status_code == 200


async def test_a_project_has_no_more_open_invitations_than_100(
    ada: httpx.AsyncClient, project: int, database: Any
) -> None:
    made = await invite(ada, project)
    await database.execute(
        "INSERT INTO invitations (project_id, token_hash, role, made_by, expires_at)"
        " SELECT $1, sha256(number::text::bytea), 'viewer', $2, now() + interval '1 day'"
        " FROM generate_series(2, $3::int) AS number",
        project,
        ADA,
        MAX_OPEN,
    )
    path = f"/projects/{project}/invitations"

    problem = problem_of(await ada.post(path, json={"role": "viewer"}), 409)
    await ada.delete(f"{path}/{made['id']}")

    assert problem["type"].endswith(":too-many-invitations")
    assert "100" in problem["detail"]
    await invite(ada, project)


async def test_open_invitations_are_listed_in_pages(ada: httpx.AsyncClient, project: int) -> None:
    made = [(await invite(ada, project))["id"] for _ in range(3)]
    seen, url = [], f"/projects/{project}/invitations?limit=2"

    while url:
        page = await ada.get(url)
        seen += [one["id"] for one in page.json()]
        url = page.links.get("next", {}).get("url", "")

    assert seen == made[::-1]


async def test_an_invitation_of_another_project_is_not_found(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, project: int
) -> None:
    made, his = await invite(ada, project), await make_project(bob)

    problem_of(await bob.delete(f"/projects/{his}/invitations/{made['id']}"), 404)

    assert (await accept(bob, made["token"])).status_code == 200


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "#/role"),
        ({"role": "admin"}, "#/role"),
        ({"role": "viewer", "email": "no address"}, "#/email"),
        ({"role": "viewer", "email": "b\u200bob@example.com"}, "#/email"),
        ({"role": "viewer", "token": "mine"}, "#/token"),
    ],
)
async def test_what_is_no_invitation_is_refused_with_the_place(
    ada: httpx.AsyncClient, project: int, body: dict[str, Any], place: str
) -> None:
    answer = await ada.post(f"/projects/{project}/invitations", json=body)

    assert places_of(answer) == [place]


@pytest.mark.parametrize(
    "token", ["", "#", "é" * 43, "x" * 1000, "'; --", "\u202e#\U0010ffff", " "]
)
async def test_what_is_no_token_is_refused_as_an_unknown_one(
    bob: httpx.AsyncClient, token: str
) -> None:
    answer = await accept(bob, token)

    assert answer.json() == (await accept(bob, "x" * 43)).json()
    problem_of(answer, 404)


async def test_a_large_body_is_refused_without_a_credential(anonymous: httpx.AsyncClient) -> None:
    problem_of(await accept(anonymous, "x" * 20_000), 413)


async def test_inviting_accepting_and_withdrawing_are_in_the_log_without_a_token(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient, project: int
) -> None:
    made, other = await invite(ada, project, "viewer"), await invite(ada, project)
    await accept(bob, made["token"])
    await ada.delete(f"/projects/{project}/invitations/{other['id']}")

    log = await admin.get("/audit")

    entries = [(one["action"], one["target"], one["target_id"]) for one in log.json()[:-1]]
    assert entries == [
        ("delete_invitation", "invitation", other["id"]),
        ("accept_invitation", "invitation", made["id"]),
        ("accept_invitation", "member", BOB),
        ("create_invitation", "invitation", other["id"]),
        ("create_invitation", "invitation", made["id"]),
    ]
    assert made["token"] not in log.text


async def test_invitations_are_deleted_once_they_have_expired(
    ada: httpx.AsyncClient, project: int, service: Service, database: Any
) -> None:
    kept, expired = await invite(ada, project), await invite(ada, project)
    await database.execute("UPDATE invitations SET expires_at = now() WHERE id = $1", expired["id"])

    async with state_of(service.app).sessions.begin() as session:
        await Invitations(session).purge_expired()

    assert [one["id"] for one in await database.fetch("SELECT id FROM invitations")] == [kept["id"]]
