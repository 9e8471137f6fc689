"""Admins add people and give them links, without ever knowing a password."""

from typing import Any

import httpx

from tests.support.keys import holding, make_key
from tests.support.logins import ask_for_tokens, sign_in
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, Service

NEW = "eleven grey herons wading"
CAROL = "carol@example.com"


async def _use(client: httpx.AsyncClient, made: httpx.Response) -> httpx.Response:
    return await client.post("/auth/reset", json={"token": made.json()["url"], "new": NEW})


async def test_an_added_user_sets_the_first_password_by_the_link_once(
    admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await admin.post("/users", json={"email": "Carol@example.com"})

    assert (made.status_code, made.json()["email"], made.json()["role"]) == (201, CAROL, "user")
    assert made.json()["url"].startswith("http://service.test/auth/reset#")
    assert (await _use(anonymous, made)).status_code == 204
    assert (await ask_for_tokens(anonymous, CAROL, NEW)).status_code == 200
    problem_of(await _use(anonymous, made), 404)


async def test_a_link_for_a_new_password_ends_the_old_one_only_when_it_is_used(
    admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await admin.post(f"/users/{ADA}/password-link")
    tokens = await sign_in(anonymous)
    assert made.status_code == 201

    await _use(anonymous, made)

    problem_of(await anonymous.get("/auth/me", headers=tokens.headers), 401)
    assert (await ask_for_tokens(anonymous)).status_code == 401
    assert (await ask_for_tokens(anonymous, password=NEW)).status_code == 200


async def test_a_link_is_neither_kept_nor_audited(admin: httpx.AsyncClient, database: Any) -> None:
    keyed = {"Idempotency-Key": "once"}
    made = await admin.post("/users", json={"email": CAROL}, headers=keyed)
    again = await admin.post("/users", json={"email": CAROL}, headers=keyed)
    audit = (await admin.get("/audit", params={"action": "add_user"})).text
    token = made.json()["url"].rpartition("#")[2]

    assert again.headers["idempotent-replayed"] == "true"
    assert (again.json()["id"], again.json()["url"]) == (made.json()["id"], None)
    assert token not in audit
    assert "given to an admin" in audit
    assert await database.fetchval("SELECT count(*) FROM password_resets") == 1


async def test_a_stolen_session_gets_no_link(admin: httpx.AsyncClient, database: Any) -> None:
    await database.execute(
        "UPDATE logins SET created_at = now() - interval '16 minutes' WHERE user_id = $1", ADMIN
    )

    for path, body in (("/users", {"email": CAROL}), (f"/users/{ADA}/password-link", {})):
        problem = problem_of(await admin.post(path, json=body or None), 401)
        assert problem["type"] == "urn:event-trigger:problem:reauthenticate"

    assert len((await admin.get("/users")).json()) == 3


async def test_only_an_enabled_user_who_is_there_gets_a_link(admin: httpx.AsyncClient) -> None:
    await admin.patch(f"/users/{ADA}", json={"disabled": True})

    disabled = problem_of(await admin.post(f"/users/{ADA}/password-link"), 409)
    problem_of(await admin.post(f"/users/{10**9}/password-link"), 404)

    assert disabled["type"] == "urn:event-trigger:problem:user-disabled"


async def test_an_address_has_one_account(admin: httpx.AsyncClient) -> None:
    problem_of(await admin.post("/users", json={"email": "ada@example.com"}), 409)
    assert places_of(await admin.post("/users", json={"email": "nobody"})) == ["#/email"]
    assert places_of(await admin.post("/users", json={"email": CAROL, "role": "root"})) == [
        "#/role"
    ]


async def test_an_admins_key_gets_no_link(admin: httpx.AsyncClient, service: Service) -> None:
    machine = holding(service, await make_key(admin, "admin"))

    assert (await machine.get("/users")).status_code == 200
    for path, body in (("/users", {"email": CAROL}), (f"/users/{ADA}/password-link", None)):
        problem_of(await machine.post(path, json=body), 403)
