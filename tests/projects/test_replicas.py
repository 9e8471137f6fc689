"""A membership that is lost at one replica is lost at every other one within a second."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.support.keys import holding, make_key
from tests.support.problems import problem_of
from tests.support.projects import add_member
from tests.support.services import ADA, BOB, Service, token_of
from tests.support.streams import listening
from tests.support.triggers import make_api
from tests.support.waiting import eventually

Call = Callable[[], Awaitable[httpx.Response]]


async def until(call: Call, status: int) -> httpx.Response:
    return await eventually(call, lambda answer: answer.status_code == status)


async def test_a_removed_member_is_a_stranger_at_another_replica(
    service: Service, elsewhere: Service, ada: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, BOB, "editor")
    key = await make_key(service.client(BOB, project=project))
    login, machine = elsewhere.client(BOB, project=project), holding(elsewhere, key)
    trigger = await make_api(service.client(ADA, project=project))
    for client in (login, machine):
        assert (await client.get(f"/triggers/{trigger['id']}")).status_code == 200

    await ada.delete(f"/projects/{project}/members/{BOB}")

    refused = await until(lambda: login.get("/triggers"), 404)
    assert refused.json() == problem_of(await login.get("/triggers/987654321"), 404)
    problem_of(await login.post(f"/triggers/{trigger['id']}/trigger"), 404)
    problem_of(await until(lambda: machine.get("/triggers"), 401), 401)
    assert (await elsewhere.client(BOB).get("/triggers")).status_code == 200


async def test_who_was_refused_is_let_in_as_soon_as_the_other_replica_hears_of_the_membership(
    service: Service, elsewhere: Service, ada: httpx.AsyncClient, project: int
) -> None:
    here, there = service.client(BOB, project=project), elsewhere.client(BOB, project=project)
    for client in (here, there):
        problem_of(await client.get("/triggers"), 404)

    await add_member(ada, project, BOB, "viewer")

    assert (await here.get("/triggers")).status_code == 200
    await until(lambda: there.get("/triggers"), 200)


async def test_who_makes_a_project_is_let_in_though_its_id_was_asked_for_before(
    ada: httpx.AsyncClient, service: Service, project: int
) -> None:
    there = service.client(ADA, project=project + 1)
    problem_of(await there.get("/triggers"), 404)

    made = await ada.post("/projects", json={"name": "Next"})

    assert made.json()["id"] == project + 1
    assert (await there.get("/triggers")).status_code == 200


@pytest.mark.parametrize("method", ["POST", "PATCH"])
async def test_a_role_that_is_lost_is_lost_at_another_replica(
    service: Service, elsewhere: Service, ada: httpx.AsyncClient, project: int, method: str
) -> None:
    await add_member(ada, project, BOB, "editor")
    trigger = await make_api(service.client(ADA, project=project))
    there = elsewhere.client(BOB, project=project)
    path = "/triggers" if method == "POST" else f"/triggers/{trigger['id']}"
    body: dict[str, Any] = {"type": "api"} if method == "POST" else {"name": "b"}
    assert (await there.request(method, path, json=body)).is_success

    await ada.patch(f"/projects/{project}/members/{BOB}", json={"role": "viewer"})

    answer = await until(lambda: there.request(method, path, json=body), 403)
    assert "triggers:write" in problem_of(answer, 403)["detail"]
    assert (await there.get("/triggers")).status_code == 200


async def test_a_stream_at_another_replica_ends_with_the_membership(
    elsewhere: Service, ada: httpx.AsyncClient, project: int
) -> None:
    await add_member(ada, project, BOB, "viewer")
    headers = {"Authorization": f"Bearer {token_of(BOB)}", "X-Project-ID": str(project)}

    async with (
        listening(elsewhere) as url,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client,
        client.stream("GET", "/events/stream") as stream,
    ):
        lines = stream.aiter_lines()
        assert await anext(lines) == ": following"
        await ada.delete(f"/projects/{project}/members/{BOB}")
        rest = [line async for line in lines]

    assert not any(line.startswith("data:") for line in rest)
