"""Two calls that lock rows of one project, its members and their keys never deadlock."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.support.databases import connect
from tests.support.keys import make_key
from tests.support.locks import until_somebody_waits
from tests.support.projects import add_member
from tests.support.services import ADMIN, BOB, Service

KEY = {"name": "k", "scopes": ["triggers:read"]}
Call = Callable[[], Awaitable[httpx.Response]]


async def behind_each_other(service: Service, first: Call, second: Call) -> list[int]:
    """Lets both calls wait, one after the other, while the user's row is locked."""
    holder, watcher = await connect(service.database_url), await connect(service.database_url)
    async with holder.transaction():
        await holder.execute("SELECT 1 FROM users WHERE id = $1 FOR UPDATE", BOB)
        one = asyncio.ensure_future(first())
        await until_somebody_waits(watcher, 1)
        other = asyncio.ensure_future(second())
        await until_somebody_waits(watcher, 2)
    answers = await asyncio.gather(one, other)
    await asyncio.gather(holder.close(), watcher.close())
    return [one.status_code for one in answers]


@pytest.mark.parametrize(
    ("first", "second", "statuses"),
    [
        ("make a key", "remove", [201, 204]),
        ("make a key", "demote", [201, 200]),
        ("make a key", "choose", [201, 200]),
        ("disable", "remove", [200, 204]),
        ("disable", "demote", [200, 200]),
        ("remove", "make a key", [204, 404]),
        ("remove", "disable", [204, 200]),
    ],
)
async def test_no_two_calls_wait_for_each_other(
    service: Service,
    ada: httpx.AsyncClient,
    project: int,
    first: str,
    second: str,
    statuses: list[int],
) -> None:
    await add_member(ada, project, BOB, "editor")
    bob, root = service.client(BOB, project=project), service.client(ADMIN)
    await make_key(bob)
    member = f"/projects/{project}/members/{BOB}"
    calls: dict[str, Call] = {
        "make a key": lambda: bob.post("/auth/keys", json=KEY),
        "choose": lambda: bob.patch("/auth/me", json={"default_project_id": project}),
        "remove": lambda: ada.delete(member),
        "demote": lambda: ada.patch(member, json={"role": "viewer"}),
        "disable": lambda: root.patch(f"/users/{BOB}", json={"disabled": True}),
    }
    await asyncio.gather(*(client.get("/triggers") for client in (ada, bob, root)))

    assert await behind_each_other(service, calls[first], calls[second]) == statuses


async def test_a_key_has_no_scope_of_a_role_that_was_lost_just_before(
    service: Service, ada: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, BOB, "editor")
    bob, body = service.client(BOB, project=project), {**KEY, "scopes": ["triggers:write"]}
    member: dict[str, Any] = {"role": "viewer"}
    await asyncio.gather(ada.get("/triggers"), bob.get("/triggers"))

    statuses = await behind_each_other(
        service,
        lambda: ada.patch(f"/projects/{project}/members/{BOB}", json=member),
        lambda: bob.post("/auth/keys", json=body),
    )

    assert statuses == [200, 403]
