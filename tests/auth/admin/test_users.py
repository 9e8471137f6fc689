"""Admins manage accounts, and cannot lock themselves out."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.keys import make_key
from tests.support.logins import ask_for_tokens, sign_in
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.triggers import make_api
from tests.support.waiting import eventually

ADAS = "ada@example.com"


async def test_admins_see_everybody_and_no_secret(admin: httpx.AsyncClient) -> None:
    page = await admin.get("/users", params={"limit": 2})
    further = await admin.get(page.links["next"]["url"])

    users = [*page.json(), *further.json()]
    assert [one["id"] for one in users] == [BOB, ADA, ADMIN]
    assert users[2]["role"] == "admin"
    assert set(users[0]) == {"id", "email", "role", "disabled_at", "created_at"}


async def test_a_disabled_user_is_out_and_comes_back_only_by_signing_in(
    admin: httpx.AsyncClient, anonymous: httpx.AsyncClient, ada: httpx.AsyncClient
) -> None:
    tokens = await sign_in(anonymous)
    trigger = await make_api(ada)

    disabled = await admin.patch(f"/users/{ADA}", json={"disabled": True})
    again = await admin.patch(f"/users/{ADA}", json={"disabled": True})
    outside = await ask_for_tokens(anonymous)
    enabled = await admin.patch(f"/users/{ADA}", json={"disabled": False})

    assert disabled.json()["disabled_at"] == again.json()["disabled_at"] is not None
    assert outside.status_code == 401
    assert enabled.json()["disabled_at"] is None
    problem_of(await anonymous.get("/auth/me", headers=tokens.headers), 401)
    headers = (await sign_in(anonymous)).headers
    listed = (await anonymous.get("/triggers", headers=headers)).json()
    assert [one["id"] for one in listed] == [trigger["id"]]


async def test_the_last_admin_stays(admin: httpx.AsyncClient, service: Service) -> None:
    for change in ({"role": "user"}, {"disabled": True}):
        problem = problem_of(await admin.patch(f"/users/{ADMIN}", json=change), 409)
        assert problem["type"] == "urn:event-trigger:problem:last-admin"

    made = await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    stepped_down = await admin.patch(f"/users/{ADMIN}", json={"role": "user"})

    assert (made.json()["role"], stepped_down.json()["role"]) == ("admin", "user")
    assert (await service.client(BOB).get("/users")).status_code == 200
    problem_of(await admin.get("/users"), 403)


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"role": "root"}, "#/role"),
        ({"disabled": "yes"}, "#/disabled"),
        ({"email": "x@example.com"}, "#/email"),
    ],
)
async def test_nothing_else_of_a_user_can_be_changed(
    admin: httpx.AsyncClient, body: dict[str, str], place: str
) -> None:
    assert places_of(await admin.patch(f"/users/{ADA}", json=body)) == [place]


async def test_nobody_else_sees_or_changes_users(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await make_key(ada)

    problem_of(await ada.get("/users"), 403)
    problem_of(await ada.patch(f"/users/{ADA}", json={"role": "admin"}), 403)
    problem_of(await admin.patch(f"/users/{10**9}", json={}), 404)


async def test_who_is_demoted_does_not_come_back_by_what_was_asked_before(
    admin: httpx.AsyncClient, bob: httpx.AsyncClient, database: Any
) -> None:
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    holding = database.transaction()
    await holding.start()
    await database.execute("SELECT FROM users FOR UPDATE")
    asking = asyncio.create_task(bob.patch(f"/users/{BOB}", json={"role": "admin"}))
    await eventually(lambda: waiting_for_locks(database), lambda count: count == 1)
    await database.execute("UPDATE users SET role = 'user' WHERE id = $1", BOB)
    await holding.commit()

    problem = problem_of(await asking, 403)

    assert problem["type"] == "urn:event-trigger:problem:no-longer-admin"
    assert await database.fetchval("SELECT role FROM users WHERE id = $1", BOB) == "user"


async def waiting_for_locks(database: Any) -> int:
    await database.execute("SELECT pg_stat_clear_snapshot()")  # in a transaction it stays
    count: int = await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query ~ 'users'"
    )
    return count
