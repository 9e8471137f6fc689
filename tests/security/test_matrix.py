"""No caller reaches another project's resources: every operation, for every kind of caller."""

import csv
import io
import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from operator import le
from typing import Any

import httpx
import pytest

from event_trigger.clock import utc_now
from tests.security.hostile import NOBODYS, nobodys_id
from tests.security.matrix import CALLERS, CALLERS_OF, EXPECTED, OUTSIDE_PROJECTS
from tests.security.world import World, shown
from tests.support.calendars import put_calendar
from tests.support.destinations import fire, make_destination
from tests.support.document import JSON, Operation
from tests.support.keys import make_key
from tests.support.notices import list_notices
from tests.support.problems import problem_of
from tests.support.projects import make_project
from tests.support.services import ADA, BOB
from tests.support.sets import put_set
from tests.support.streams import following
from tests.support.triggers import make_api
from tests.support.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")  # of the world
REFUSED = {401, 403, 404}
SPENDING = {  # succeed once, or a few times
    "redeliver",
    "rotate_destination_secret",
    "rotate_destination_secret_by_key",
}
KEY = {"idempotency-key": "a text that two people happen to choose"}
# somebody of another project; Ada herself, in the project that is her own
OTHERS = {"bob": (BOB, BOB), "ada@own": (ADA, ADA)}
elsewhere = pytest.mark.parametrize("other", OTHERS)


async def test_every_operation_is_placed(world: World) -> None:
    described = {operation.id for operation in world.operations}

    assert described - EXPECTED.keys() == set(), "place them in tests/security/matrix.py"
    assert EXPECTED.keys() - described == set(), "these are gone"


async def test_everybody_gets_the_answer_that_is_theirs(world: World) -> None:
    wrong, calls = [], 0

    for operation in world.operations:
        for caller in CALLERS:
            headers = await world.caller(caller)
            path, sent = await world.path_of(operation), await world.body_of(operation)
            answer = await world.ask(operation, headers, path, **sent)

            calls += 1
            expected = EXPECTED.get(operation.id, {}).get(caller)
            if answer.status != expected:
                wrong.append((operation.id, caller, expected, answer.status, answer.body[:200]))
            await _forget_what_is_spent(world, operation, caller, answer.status)

    assert wrong == []
    print(f"{len(world.operations)} operations × {len(CALLERS)} callers: {calls} answers")


async def _forget_what_is_spent(
    world: World, operation: Operation, caller: str, status: int
) -> None:
    if operation.id in {"sign_out", "end_browser_session"} and status < 300:
        world.callers.forget(caller)
    if operation.id == "delete_project" and status < 300:
        del world.ids["another_project_id"]
    if operation.id in {"change_password", "end_other_sessions"} and status < 300:
        await world.restore_logins()
    if (operation.method == "DELETE" or operation.id in SPENDING) and status < 300:
        for name in operation.parameters("path"):
            del world.ids[name]


async def test_an_id_that_is_not_theirs_answers_as_one_that_does_not_exist(world: World) -> None:
    calls = 0

    for operation in world.operations:
        for caller, *_ in CALLERS_OF.values():
            if EXPECTED[operation.id][caller] not in REFUSED:
                continue
            for sent in [await world.body_of(operation), *_sent_otherwise(operation)]:
                for name in operation.parameters("path"):
                    if name == "project_id" and EXPECTED["get_project"][caller] == 200:
                        continue  # they know that it exists
                    headers = {**await world.caller(caller), **sent.pop("headers", {})}
                    hers = await world.path_of(operation)
                    nobodys = await world.path_of(operation, **{name: nobodys_id(name)})
                    first = await world.ask(operation, headers, hers, **sent)
                    second = await world.ask(operation, headers, nobodys, **sent)

                    assert first == second, (operation.id, caller, sent)
                    assert first.status >= 400
                    calls += 2

    print(f"ids of somebody else's and of nobody's: {calls} answers, equal in pairs")


def _sent_otherwise(operation: Operation) -> list[dict[str, Any]]:
    """Gives invalid bodies and keys: neither may be read before the resource's owner is checked."""
    bodies: list[dict[str, Any]] = [{"content": b"{", "headers": {"content-type": JSON}}]
    keys: list[dict[str, Any]] = [{"headers": KEY}]
    has_key = "idempotency-key" in operation.parameters("header")
    return (bodies if operation.takes_body else []) + (keys if has_key else [])


async def test_a_project_that_is_not_theirs_answers_as_one_that_does_not_exist(
    world: World,
) -> None:
    calls = 0

    for operation in world.operations:
        if operation.id in OUTSIDE_PROJECTS:
            continue
        for caller in (
            "bob@team",
            "former@team",
            "ada@his",
            "lesser@team",
            "key@his",
            "hiskey@team",
        ):
            for sent in [await world.body_of(operation), *_sent_otherwise(operation)]:
                more = sent.pop("headers", {})
                theirs = await world.caller(caller)
                nobodys = await world.caller(f"{caller.partition('@')[0]}@nobodys")
                path = await world.path_of(operation)
                first = await world.ask(operation, {**theirs, **more}, path, **sent)
                second = await world.ask(operation, {**nobodys, **more}, path, **sent)

                assert first == second, (operation.id, caller, sent)
                assert first.status == 404, (operation.id, caller, sent)
                calls += 2

    print(f"projects of somebody else's and of nobody's: {calls} answers, equal in pairs")


async def test_the_fast_path_answers_as_the_operation_does(world: World) -> None:
    twice = [("x-twice", "1"), ("x-twice", "2")]  # repeated headers are left to FastAPI

    by_id = f"/triggers/{await world.id_of('trigger_id')}"
    by_key = f"/triggers/by-key/{await world.id_of('key')}"
    for path, operation_id in (
        (f"{by_id}/trigger", "fire_trigger"),
        (f"{by_id}/test", "test_trigger"),
        (f"{by_key}/trigger", "fire_trigger_by_key"),
        (f"{by_key}/test", "test_trigger_by_key"),
    ):
        for caller in CALLERS:
            headers = list((await world.caller(caller)).items())
            quick = await world.inside.post(path, json={}, headers=headers)
            slow = await world.inside.post(path, json={}, headers=[*headers, *twice])

            assert quick.status_code == slow.status_code == EXPECTED[operation_id][caller], caller
            assert quick.content == slow.content, caller


@elsewhere
async def test_ids_in_bodies_are_of_the_project(world: World, other: str) -> None:
    bob = world.client(await world.caller(other))
    mine = await make_api(bob)
    hers = {name: await world.id_of(name) for name in ("trigger_id", "destination_id")}
    calls: list[tuple[str, str, str, dict[str, Any]]] = [
        ("POST", "/triggers", "destination_id", {"type": "api", "destinations": [0]}),
        ("PATCH", f"/triggers/{mine['id']}", "destination_id", {"destinations": [0]}),
        (
            "POST",
            "/auth/keys",
            "trigger_id",
            {"name": "k", "scopes": ["triggers:fire"], "trigger_ids": [0]},
        ),
    ]

    for method, path, name, body in calls:
        theirs = await bob.request(method, path, json=_with_id(body, hers[name]))
        nobodys = await bob.request(method, path, json=_with_id(body, NOBODYS))

        problem_of(theirs, 422)
        assert shown(theirs) == shown(nobodys), (method, path)


def _with_id(body: dict[str, Any], wanted: int | str) -> dict[str, Any]:
    return {name: [wanted] if value == [0] else value for name, value in body.items()}


async def test_filters_by_what_is_not_theirs_select_nothing(world: World) -> None:
    calls = 0
    names = ("trigger_id", "event_id", "destination_id", "delivery_id")
    hers = {name: await world.id_of(name) for name in names}
    hers["user_id"] = world.callers.people["coowner"]
    hers["target_id"] = hers["trigger_id"]

    for operation in world.operations:
        for name in operation.parameters("query"):
            if not name.endswith("_id") or operation.id == "stream_events":
                continue
            for caller in ("bob", "ada@own", "limited", "narrowed"):
                for more in _ways_to_ask(operation, name):
                    headers = await world.caller(caller)
                    by_hers = {"params": {name: hers.get(name, 1), **more}}
                    by_nobodys = {"params": {name: NOBODYS, **more}}
                    first = await world.ask(operation, headers, operation.path, **by_hers)
                    second = await world.ask(operation, headers, operation.path, **by_nobodys)

                    assert first == second, (operation.id, caller, name)
                    assert first.status in {200, 403}
                    calls += 2

    assert calls > 50
    print(f"filters by ids: {calls} answers, equal in pairs")


def _ways_to_ask(operation: Operation, name: str) -> list[dict[str, str]]:
    """Gives the other parameters with which a list may be asked for what has an id."""
    known = {*operation.parameters("query")}
    if name == "target_id":  # the asker may have a key or a destination of the same number
        return [{"target": "trigger"}]
    if "measure" in known:
        return [{"measure": "deliveries" if name == "destination_id" else "events"}]
    return [one for one in ({}, {"aggregate": "true"}, {"format": "csv"}) if one.keys() <= known]


async def several_in_turns(world: World, other: str) -> tuple[httpx.AsyncClient, httpx.AsyncClient]:
    """Makes several of each resource in the team and another project by turns.

    Gives the clients of both.
    """
    ada, bob = world.team, world.client(await world.caller(other))
    for client in (bob, ada, bob, ada, ada, bob):
        destination = await make_destination(client, world.receiver.url)
        trigger = await make_api(client, destinations=[destination["id"]])
        await fire(client, trigger)
        await make_key(client)
        await make_project(client)
        await put_set(client, f"set-{trigger['id']}", {})
        await put_calendar(client, f"calendar-{trigger['id']}")
    return ada, bob


async def notices_in_turns(world: World, turns: Sequence[httpx.AsyncClient]) -> None:
    for client in {*turns}:
        await make_destination(client, world.receiver.url, notices=["destination.disabled"])
    told = {client: len(await list_notices(client)) for client in turns}
    for client in turns:
        made = await make_destination(client, world.receiver.url)
        await client.post(f"/destinations/{made['id']}/disable")
        told[client] += 1
        await eventually(partial(count_notices, client), partial(le, told[client]))


async def count_notices(client: httpx.AsyncClient) -> int:
    return len(await list_notices(client))


@elsewhere
async def test_another_projects_cursor_shows_ones_own(world: World, other: str) -> None:
    ada, bob = world.team, world.client(await world.caller(other))
    await notices_in_turns(world, (bob, ada, bob, ada, ada, bob))
    await several_in_turns(world, other)
    lists = [
        one
        for one in world.operations
        if "cursor" in one.parameters("query")
        and not one.parameters("path")
        and one.id != "list_sessions"  # of a person, and of no project
    ]

    for operation in lists:
        for limit in (1, 2):
            if EXPECTED[operation.id]["bob"] == 403:
                continue
            mine = [one["id"] for one in (await bob.get(operation.path)).json()]
            page = await ada.get(operation.path, params={"limit": limit})
            cursor = httpx.URL(page.links["next"]["url"]).params["cursor"]
            seen = await bob.get(operation.path, params={"cursor": cursor})

            last = page.json()[-1]["id"]
            assert [one["id"] for one in seen.json()] == [one for one in mine if one < last]
            assert 0 < len(seen.json()) < len(mine), operation.id

    assert len(lists) >= 5


@elsewhere
async def test_another_projects_idempotency_key_is_a_new_one(world: World, other: str) -> None:
    bob = world.client(await world.caller(other))
    mine, hers = await make_api(bob), await world.id_of("trigger_id")

    for how in ("trigger", "test"):
        fired = await world.team.post(f"/triggers/{hers}/{how}", json={"a": 1}, headers=KEY)
        repeated = await bob.post(f"/triggers/{mine['id']}/{how}", json={"b": 2}, headers=KEY)

        assert (fired.status_code, repeated.status_code) == (200, 200)
        assert "idempotent-replayed" not in repeated.headers
        assert repeated.headers["location"] != fired.headers["location"]
        assert (await bob.get(repeated.headers["location"])).json()["payload"] == {"b": 2}


@elsewhere
async def test_exports_hold_nothing_of_others(world: World, other: str) -> None:
    _, bob = await several_in_turns(world, other)
    mine = [one["id"] for one in (await bob.get("/events")).json()]

    as_lines = (await bob.get("/events/export")).text.splitlines()
    as_csv = (await bob.get("/events/export", params={"format": "csv"})).text

    assert [json.loads(line)["id"] for line in as_lines] == mine
    assert [int(row["id"]) for row in csv.DictReader(io.StringIO(as_csv))] == mine


@elsewhere
async def test_a_stream_after_another_projects_event_is_one_after_nobodys(
    world: World, other: str
) -> None:
    ada, bob = await several_in_turns(world, other)
    mine = [one["id"] for one in (await bob.get("/events")).json()][::-1]
    hers = (await ada.get("/events")).json()[0]["id"]
    user_id, project = OTHERS[other]

    for after in (hers, NOBODYS):
        async with following(world.url, user_id, project=project, after=after) as stream:
            await stream.read(len(mine))
            assert stream.ids == mine


@elsewhere
async def test_a_stream_filtered_by_another_projects_trigger_is_empty(
    world: World, other: str
) -> None:
    hers, event = await world.id_of("trigger_id"), await world.id_of("event_id")
    by_hers = {"trigger_id": hers, "until": utc_now().isoformat()}
    seen = {}

    for user_id, project in ((ADA, world.callers.team), OTHERS[other]):
        async with following(world.url, user_id, project=project, after=0, **by_hers) as stream:
            await stream.read_to_the_end()
        seen[project] = stream.ids

    assert event in seen[world.callers.team]
    assert seen[OTHERS[other][1]] == []


@elsewhere
async def test_a_stream_shows_nothing_of_another_project(world: World, other: str) -> None:
    bob = world.client(await world.caller(other))
    hers, mine = await make_api(world.team), await make_api(bob)
    user_id, project = OTHERS[other]

    async with following(world.url, user_id, project=project) as stream:
        events = []
        for _ in range(3):
            await fire(world.team, hers)
            events.append(await fire(bob, mine))
        await stream.read(3)

    assert stream.ids == events


async def test_a_limited_key_follows_only_its_triggers(world: World) -> None:
    wanted, other = await make_api(world.team), await make_api(world.team)
    key = await make_key(world.team, trigger_ids=[wanted["id"]])
    headers = {"X-API-Key": key["key"]}

    async with world.outside.stream("GET", "/events/stream", headers=headers) as answer:
        lines = answer.aiter_lines()
        assert await anext(lines) == ": following"
        await fire(world.team, other)
        event = await fire(world.team, wanted)
        seen = [line async for line in _until_data(lines)]

    assert f"id: {event}" in seen
    assert [json.loads(line[6:])["trigger_id"] for line in seen if line[:6] == "data: "] == [
        wanted["id"]
    ]


async def _until_data(lines: AsyncIterator[str]) -> AsyncIterator[str]:
    seen = {"id", "data"}
    async for line in lines:
        yield line
        seen.discard(line.partition(":")[0])
        if not seen:
            return
