"""A removed member loses the project at every replica, also in responses that are open."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from event_trigger.models import ProjectRole
from tests.support.databases import fresh_database
from tests.support.destinations import fire
from tests.support.keys import make_key
from tests.support.memberships import add_project, remove_member
from tests.support.planting import LARGE, plant_large
from tests.support.problems import problem_of
from tests.support.processes import Served, open_folder, serving, with_database
from tests.support.services import ADA, BOB, Service, running_service, token_of
from tests.support.streams import following
from tests.support.triggers import make_api
from tests.support.waiting import REVOKED_WITHIN

pytestmark = pytest.mark.xdist_group("processes")

NOBODYS = 987_654_321


@pytest.fixture(scope="module")
async def database_url(server_url: str, template: str) -> AsyncIterator[str]:
    async with fresh_database(server_url, template=template) as url:
        yield url


@pytest.fixture(scope="module")
async def service(database_url: str) -> AsyncIterator[Service]:
    """A service for all tests here: each has a team of its own."""
    async with running_service(database_url) as made:
        yield made


@pytest.fixture(scope="module")
async def elsewhere(service: Service) -> AsyncIterator[Served]:
    """Runs a second replica in a process of its own, which takes seconds to start."""
    with open_folder() as folder:
        async with serving(folder, **with_database(service.database_url)) as served:
            yield served


@pytest.fixture
async def team(service: Service) -> int:
    return await add_project(service, ADA, {BOB: ProjectRole.EDITOR})


@asynccontextmanager
async def calling(url: str, project: int, **headers: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = headers or {"Authorization": f"Bearer {token_of(BOB)}"}
    headers["X-Project-ID"] = str(project)
    async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
        yield client


async def test_a_former_member_is_answered_as_if_the_project_were_none(
    service: Service, elsewhere: Served, team: int
) -> None:
    trigger = await make_api(service.client(ADA, project=team))
    calls = [
        ("GET", "/triggers"),
        ("GET", f"/triggers/{trigger['id']}"),
        ("GET", "/events/export"),
        ("PATCH", f"/triggers/{trigger['id']}"),
        ("POST", f"/triggers/{trigger['id']}/trigger"),
        ("POST", f"/triggers/{trigger['id']}/test"),
    ]
    async with calling(elsewhere.url, team) as bob, calling(elsewhere.url, NOBODYS) as nowhere:
        before = [await _call(bob, *call) for call in calls]
        await remove_member(service, team, BOB)
        await asyncio.sleep(REVOKED_WITHIN)
        after = [await _call(bob, *call) for call in calls]
        none = [await _call(nowhere, *call) for call in calls]

    assert {one.status_code for one in before} == {200}
    for answer, unknown in zip(after, none, strict=True):
        assert problem_of(answer, 404) == problem_of(unknown, 404)


async def _call(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    return await client.request(method, path, json={} if method != "GET" else None)


async def test_a_former_members_keys_of_the_project_end(
    service: Service, elsewhere: Served, team: int
) -> None:
    theirs = await make_key(service.client(BOB, project=team))
    own = await make_key(service.client(BOB))
    async with elsewhere.client() as client:
        keys = [{"X-API-Key": one["key"]} for one in (theirs, own)]
        before = [(await client.get("/triggers", headers=key)).status_code for key in keys]
        await remove_member(service, team, BOB)
        await asyncio.sleep(REVOKED_WITHIN)
        after = [(await client.get("/triggers", headers=key)).status_code for key in keys]

    assert before == [200, 200]
    assert after == [401, 200]


async def test_a_former_members_stream_ends_without_another_event(
    service: Service, elsewhere: Served, team: int
) -> None:
    ada = service.client(ADA, project=team)
    trigger = await make_api(ada)
    async with following(elsewhere.url, BOB, project=team) as stream:
        seen = await fire(ada, trigger)
        await stream.read(1)
        await remove_member(service, team, BOB)
        await asyncio.sleep(REVOKED_WITHIN)
        await fire(ada, trigger)
        await stream.read_to_the_end()

    assert stream.ids == [seen]


async def test_a_former_members_export_does_not_look_whole(
    service: Service, elsewhere: Served, team: int, database: Any
) -> None:
    await plant_large(database, owner_id=team)
    read: list[bytes] = []
    async with (
        calling(elsewhere.url, team) as bob,
        bob.stream("GET", "/events/export") as answer,
    ):
        chunks = answer.aiter_raw()
        read.append(await anext(chunks))
        await remove_member(service, team, BOB)
        await asyncio.sleep(REVOKED_WITHIN)
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            await _read_into(read, chunks)

    assert 0 < b"".join(read).count(b"\n") < LARGE


async def _read_into(read: list[bytes], chunks: AsyncIterator[bytes]) -> None:
    async for chunk in chunks:
        read.append(chunk)  # noqa: PERF401 (what has come before an error counts)


async def test_another_role_ends_a_stream_so_that_it_starts_again_with_it(
    service: Service, elsewhere: Served, team: int, database: Any
) -> None:
    async with following(elsewhere.url, BOB, project=team) as stream:
        await database.execute(
            "UPDATE project_members SET role = 'viewer' WHERE project_id = $1 AND user_id = $2",
            team,
            BOB,
        )
        await stream.read_to_the_end()

    assert stream.ids == []
