"""The limits of a project hold exactly, also when many calls create at once."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.destinations import make_destination
from tests.support.keys import make_key
from tests.support.problems import problem_of
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.services import ADA, Service, running_service
from tests.support.triggers import make_api, make_scheduled

MOST, CROWD = 5, 12
A_TRIGGER = ("/triggers", {"type": "api"})
A_DESTINATION = ("/destinations", {"url": "http://127.0.0.1:1/"})
BOTH = pytest.mark.parametrize(
    ("path", "body", "setting"),
    [
        (*A_TRIGGER, "EVENT_TRIGGER_MAX_TRIGGERS"),
        (*A_DESTINATION, "EVENT_TRIGGER_MAX_DESTINATIONS"),
    ],
)


@pytest.fixture
def service_settings() -> dict[str, Any]:
    limits = {"max_triggers": MOST, "max_destinations": MOST, "max_calls_per_minute": MOST}
    return {**limits, **ALLOW_LOOPBACK}


@pytest.fixture
def service(own_service: Service) -> Service:
    """A service that has counted no calls of anybody."""
    return own_service


async def create_at_once(client: httpx.AsyncClient, path: str, body: Any) -> list[httpx.Response]:
    return await asyncio.gather(*(client.post(path, json=body) for _ in range(CROWD)))


@BOTH
async def test_a_crowd_creates_exactly_as_many_as_are_allowed(
    ada: httpx.AsyncClient, path: str, body: Any, setting: str
) -> None:
    answers = await create_at_once(ada, path, body)

    refused = [one for one in answers if one.status_code != 201]
    assert len(refused) == CROWD - MOST
    for one in refused:
        problem = problem_of(one, 409)
        assert problem["type"].endswith(f"too-many-{path[1:]}")
        assert f"has {MOST} of at most {MOST} {path[1:]}" in problem["detail"]
        assert setting in problem["detail"]
    assert len((await ada.get(path)).json()) == MOST


@BOTH
async def test_what_is_deleted_makes_room(
    ada: httpx.AsyncClient, path: str, body: Any, setting: str
) -> None:
    created = [one for one in await create_at_once(ada, path, body) if one.status_code == 201]
    await ada.delete(f"{path}/{created[0].json()['id']}")

    answers = [await ada.post(path, json=body) for _ in range(2)]

    assert [one.status_code for one in answers] == [201, 409], setting


async def test_other_projects_have_limits_of_their_own(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    await create_at_once(ada, *A_TRIGGER)

    answer = await bob.post("/triggers", json={"type": "api"})

    assert answer.status_code == 201


async def test_changing_and_firing_go_on_at_the_limit(ada: httpx.AsyncClient) -> None:
    made = await make_scheduled(ada)
    await create_at_once(ada, *A_TRIGGER)
    path = f"/triggers/{made['id']}"

    answers = [
        await ada.patch(path, json={"details": {"cron": "@hourly"}}),
        await ada.post(f"{path}/trigger"),
        await ada.post(f"{path}/pause"),
        await ada.post(f"{path}/resume"),
    ]

    assert [one.status_code for one in answers] == [200] * 4


async def test_no_limit_is_no_limit(database_url: str) -> None:
    none = {"max_triggers": 0, "max_destinations": 0, **ALLOW_LOOPBACK}
    async with running_service(database_url, **none) as service:
        ada = service.client(ADA)
        answers = await create_at_once(ada, *A_TRIGGER) + await create_at_once(ada, *A_DESTINATION)

    assert {one.status_code for one in answers} == {201}


@pytest.mark.parametrize(
    ("path", "body"),
    [A_TRIGGER, A_DESTINATION, ("/auth/keys", {"name": "late", "scopes": ["events:read"]})],
)
async def test_nothing_is_created_in_a_project_that_was_just_deleted(
    ada: httpx.AsyncClient, database: Any, path: str, body: Any
) -> None:
    known = await ada.get("/triggers")  # the credential is cached from here on
    async with database.transaction():
        await database.execute("UPDATE projects SET deleted_at = now() WHERE id = $1", ADA)
        creating = asyncio.create_task(ada.post(path, json=body))
        await asyncio.sleep(0.2)  # it waits for the project's row, or has not come so far
    answer = await creating

    assert known.status_code == 200
    assert problem_of(answer, 404)["type"].endswith("not-found")
    assert await database.fetchval(f"SELECT count(*) FROM {_TABLES[path]}") == 0


_TABLES = {"/triggers": "triggers", "/destinations": "destinations", "/auth/keys": "api_keys"}


async def test_a_projects_calls_are_limited_together_also_by_hooks(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, service: Service
) -> None:
    first, second = await make_api(ada), await make_api(ada, details={"hook": {"verify": "none"}})
    paths = [f"/triggers/{first['id']}/trigger", f"/triggers/{second['id']}/test"] * 2
    fired = [await ada.post(path) for path in paths] + [await bob.post(paths[0])]
    fired.append(await service.client().post(second["hook_url"]))

    refused = [
        await ada.post(paths[0]),
        await ada.post(paths[1]),
        await service.client().post(second["hook_url"]),
    ]

    assert [one.status_code for one in fired] == [200, 200, 200, 200, 404, 200]
    for one in refused:
        assert "EVENT_TRIGGER_MAX_CALLS_PER_MINUTE" in problem_of(one, 429)["detail"]
        assert 0 < int(one.headers["retry-after"]) <= 60
    assert len((await ada.get("/events")).json()) == MOST


async def test_a_crowd_of_calls_is_limited_exactly(ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada)

    calls = [ada.post(f"/triggers/{trigger['id']}/trigger") for _ in range(CROWD)]
    statuses = [one.status_code for one in await asyncio.gather(*calls)]

    assert sorted(statuses) == [200] * MOST + [429] * (CROWD - MOST)


async def test_keys_and_logins_share_the_projects_limit(
    ada: httpx.AsyncClient, service: Service
) -> None:
    trigger, key = await make_api(ada), await make_key(ada)
    machine = service.client()
    machine.headers["X-API-Key"] = key["key"]

    callers = [ada, machine] * 3
    answers = [await one.post(f"/triggers/{trigger['id']}/trigger") for one in callers]

    assert [one.status_code for one in answers] == [200] * MOST + [429]
    assert (await make_destination(ada, "http://127.0.0.1:1/"))["id"]
