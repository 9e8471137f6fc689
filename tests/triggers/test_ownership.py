"""Other owners' triggers answer like ids that do not exist; admins see and change all."""

from typing import Any

import httpx
import pytest

from tests.support.problems import problem_of
from tests.support.reading import read_all
from tests.support.services import ADMIN, BOB, Service
from tests.support.triggers import make_api, make_scheduled, read

NOBODYS = 987_654_321
VARYING = {"x-request-id", "date"}
KEY = {"idempotency-key": "k"}

# method, path below the trigger, what is sent
TRIGGER_CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "", {}),
    ("PATCH", "", {"json": {}}),
    ("PATCH", "", {"json": {"name": "mine"}}),
    ("PATCH", "", {"json": {"details": {"interval": 0}}}),
    ("PATCH", "", {"json": {"details": {"schema": {"type": "x"}}}}),
    ("PATCH", "", {"json": {"type": "api"}}),
    ("PATCH", "", {"content": b"x"}),
    ("DELETE", "", {}),
    ("POST", "/pause", {}),
    ("POST", "/resume", {}),
    ("POST", "/trigger", {}),
    ("POST", "/trigger", {"json": {"a": 1}}),
    ("POST", "/trigger", {"json": [1]}),
    ("POST", "/trigger", {"headers": KEY}),
    ("POST", "/trigger", {"headers": {"idempotency-key": ""}}),
    ("POST", "/test", {}),
    ("POST", "/test", {"json": {"a": 1}, "headers": KEY}),
    ("PUT", "", {}),
    ("HEAD", "", {}),
]


def shown(answer: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    headers = {name: value for name, value in answer.headers.items() if name not in VARYING}
    return answer.status_code, answer.content, headers


@pytest.mark.parametrize("kind", ["api", "scheduled", "completed", "paused"])
async def test_somebody_elses_trigger_answers_as_one_that_does_not_exist(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, kind: str
) -> None:
    schema = {"required": ["never given"]}
    if kind == "api":
        made = await make_api(bob, details={"schema": schema})
    else:
        details = {"time": "2025-01-01T00:00:00Z"} if kind == "completed" else None
        made = await make_scheduled(bob, details)
    if kind == "paused":
        await bob.post(f"/triggers/{made['id']}/pause")
    before = await read(bob, made["id"])

    for method, path, sent in TRIGGER_CALLS:
        theirs = await ada.request(method, f"/triggers/{made['id']}{path}", **sent)
        nobodys = await ada.request(method, f"/triggers/{NOBODYS}{path}", **sent)

        assert shown(theirs) == shown(nobodys), (method, path, sent)
        assert theirs.status_code in {404, 405, 415, 422}
    assert await read(bob, made["id"]) == before
    assert await read_all(bob, "/events") == []


async def test_somebody_elses_idempotency_key_is_not_known(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = await make_api(bob)
    await bob.post(f"/triggers/{made['id']}/trigger", headers=KEY)

    theirs = await ada.post(f"/triggers/{made['id']}/trigger", headers=KEY)
    nobodys = await ada.post(f"/triggers/{NOBODYS}/trigger", headers=KEY)

    problem_of(theirs, 404)
    assert shown(theirs) == shown(nobodys)


async def test_somebody_elses_event_answers_as_one_that_does_not_exist(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = await make_api(bob)
    fired = await bob.post(f"/triggers/{made['id']}/trigger", json={"a": 1})

    for method in ("GET", "HEAD", "DELETE"):
        theirs = await ada.request(method, fired.headers["location"])
        nobodys = await ada.request(method, f"/events/{NOBODYS}")

        assert shown(theirs) == shown(nobodys)
    assert (await bob.get(fired.headers["location"])).json()["payload"] == {"a": 1}


async def test_lists_and_counts_show_nothing_of_others(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    mine = await make_api(ada, name="same", tags=["same"])
    theirs = await make_api(bob, name="same", tags=["same"])
    for client, made in ((ada, mine), (bob, theirs)):
        await client.post(f"/triggers/{made['id']}/trigger")

    filters = {"q": "same", "tag": "same"}
    triggers = await read_all(ada, "/triggers", **filters)
    events = await read_all(ada, "/events")
    counts = (await ada.get("/events", params={"aggregate": True})).json()

    assert [one["id"] for one in triggers] == [mine["id"]]
    assert [one["trigger_id"] for one in events] == [mine["id"]]
    assert counts == [{"trigger_id": mine["id"], "count": 1}]


async def test_filters_by_somebody_elses_trigger_answer_as_by_one_that_does_not_exist(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    made = await make_api(bob)
    await bob.post(f"/triggers/{made['id']}/trigger")

    for more in ({}, {"aggregate": "true"}, {"is_test": "false", "type": "api"}):
        theirs = await ada.get("/events", params={"trigger_id": made["id"], **more})
        nobodys = await ada.get("/events", params={"trigger_id": NOBODYS, **more})

        assert theirs.json() == []
        assert shown(theirs) == shown(nobodys)


async def test_an_admin_sees_all(
    ada: httpx.AsyncClient,
    bob: httpx.AsyncClient,
    admin: httpx.AsyncClient,
    overseer: httpx.AsyncClient,
) -> None:
    made = [await make_api(client) for client in (ada, bob, admin)]
    for client, one in zip((ada, bob, admin), made, strict=True):
        await client.post(f"/triggers/{one['id']}/trigger", json={"n": one["id"]})

    triggers = await read_all(overseer, "/triggers", limit=2)
    events = await read_all(overseer, "/events", limit=2)
    counts = (await overseer.get("/events", params={"aggregate": True})).json()

    newest_first = [one["id"] for one in reversed(made)]
    assert [one["id"] for one in triggers] == newest_first
    assert [one["trigger_id"] for one in events] == newest_first
    assert counts == [{"trigger_id": one["id"], "count": 1} for one in made]
    for event in events:
        assert (await overseer.get(f"/events/{event['id']}")).json() == event
        assert event["payload"] == {"n": event["trigger_id"]}


async def test_an_admin_changes_everybodys_and_it_stays_theirs(
    bob: httpx.AsyncClient, overseer: httpx.AsyncClient, service: Service
) -> None:
    made = await make_scheduled(bob)
    path = f"/triggers/{made['id']}"
    admin = service.client(ADMIN, project=BOB)

    answers = [
        await admin.patch(path, json={"name": "by an admin"}),
        await admin.post(f"{path}/pause"),
        await admin.post(f"{path}/test", json={}, headers=KEY),
        await admin.post(f"{path}/resume"),
        await admin.post(f"{path}/trigger", json={}, headers=KEY),
    ]
    unnamed = await overseer.delete(path)
    again = await bob.post(f"{path}/trigger", json={}, headers=KEY)

    assert {answer.status_code for answer in answers} == {200}
    problem_of(unnamed, 422)
    assert again.headers["idempotent-replayed"] == "true"
    seen = await read(bob, made["id"])
    assert (seen["name"], seen["status"], seen["fire_count"]) == ("by an admin", "active", 1)
    assert len(await read_all(bob, "/events", trigger_id=made["id"])) == 2
    assert (await admin.delete(path)).status_code == 204
    problem_of(await bob.get(path), 404)


async def test_what_an_admin_does_not_find_is_not_found(overseer: httpx.AsyncClient) -> None:
    for method, path, sent in TRIGGER_CALLS:
        answer = await overseer.request(method, f"/triggers/{NOBODYS}{path}", **sent)

        assert answer.status_code in {404, 405, 415, 422}, (method, path)
    problem_of(await overseer.get(f"/events/{NOBODYS}"), 404)


async def test_without_a_token_nothing_answers(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_api(ada)

    for method, path, sent in TRIGGER_CALLS:
        if method == "PUT":
            continue
        answer = await anonymous.request(method, f"/triggers/{made['id']}{path}", **sent)

        assert answer.status_code in {401, 415}, (method, path)
    for path in ("/triggers", "/events", "/events?aggregate=true", "/events/1"):
        problem_of(await anonymous.get(path), 401)
