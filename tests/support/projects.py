"""Makes projects, members and invitations over HTTP, and more users than every test has."""

from typing import Any

import httpx

from event_trigger.auth.users import add_user
from event_trigger.models import Role
from event_trigger.web.dependencies import state_of
from tests.support.logins import sign_in
from tests.support.services import PASSWORD, Service, quick_passwords

EMAILS = {1: "admin@example.com", 2: "ada@example.com", 3: "bob@example.com"}


async def make_project(client: httpx.AsyncClient, name: str = "Billing") -> int:
    answer = await client.post("/projects", json={"name": name})
    assert answer.status_code == 201, answer.text
    return int(answer.json()["id"])


async def add_member(
    client: httpx.AsyncClient, project_id: int, user_id: int, role: str = "editor"
) -> dict[str, Any]:
    """Adds one of the users that every test has."""
    body = {"email": EMAILS[user_id], "role": role}
    answer = await client.post(f"/projects/{project_id}/members", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def roles_in(client: httpx.AsyncClient, project_id: int) -> dict[int, str]:
    """Reads the members' roles by their ids."""
    answer = await client.get(f"/projects/{project_id}/members", params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return {one["user_id"]: one["role"] for one in answer.json()}


async def invite(
    client: httpx.AsyncClient, project_id: int, role: str = "editor", **more: Any
) -> dict[str, Any]:
    """Makes an invitation; `token` is added, the part of the link after `#`."""
    body = {"role": role, **more}
    answer = await client.post(f"/projects/{project_id}/invitations", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return {**made, "token": made["url"].partition("#")[2]}


async def accept(client: httpx.AsyncClient, token: str, **account: str) -> httpx.Response:
    return await client.post("/invitations/accept", json={"token": token, **account})


async def make_user(service: Service, email: str) -> int:
    """Adds a user without a call, so that no registration is counted."""
    user = await add_user(
        state_of(service.app).sessions,
        quick_passwords(),
        email=email,
        password=PASSWORD,
        role=Role.USER,
    )
    return user.id


async def signed_in(service: Service, email: str, *, scope: str = "") -> httpx.AsyncClient:
    """Signs in with a password, and gives a client that sends the login's token."""
    client = service.client()
    client.headers.update((await sign_in(client, email, scope=scope)).headers)
    return client
