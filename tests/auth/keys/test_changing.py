"""Anybody who sees a key may take from it; more is given only by its user, freshly signed in."""

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.destinations import fire
from tests.support.keys import ALL_SCOPES, holding, make_key
from tests.support.logins import sign_in
from tests.support.memberships import add_project
from tests.support.problems import places_of, problem_of
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.triggers import make_api
from tests.support.waiting import REVOKED_WITHIN

SOON, LATER = "2090-01-01T00:00:00Z", "2091-01-01T00:00:00Z"
READING = ["triggers:read", "events:read", "destinations:read"]


@pytest.fixture
async def stale(anonymous: httpx.AsyncClient, database: Any) -> httpx.AsyncClient:
    """Ada, whose password was given more than 15 minutes ago."""
    anonymous.headers.update((await sign_in(anonymous)).headers)
    await database.execute(
        "UPDATE logins SET created_at = now() - interval '16 min' WHERE created_at < now()"
    )
    return anonymous


async def change(client: httpx.AsyncClient, key: dict[str, Any], /, **body: Any) -> httpx.Response:
    return await client.patch(f"/auth/keys/{key['id']}", json=body)


async def changed(client: httpx.AsyncClient, key: dict[str, Any], /, **body: Any) -> dict[str, Any]:
    answer = await change(client, key, **body)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def statuses_of(*clients: httpx.AsyncClient, path: str = "/triggers") -> list[int]:
    return [(await client.get(path)).status_code for client in clients]


async def test_the_location_of_a_new_key_leads_to_it(ada: httpx.AsyncClient) -> None:
    body = {"name": "k", "scopes": ["events:read"]}
    made = await ada.post("/auth/keys", json=body)

    found = await ada.get(made.headers["location"])

    shown = {name: value for name, value in made.json().items() if name != "key"}
    assert found.json() == shown
    assert (await ada.get("/auth/keys")).json() == [shown]


async def test_a_key_that_may_not_be_seen_is_as_none(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, service: Service
) -> None:
    team = await add_project(service, ADA, {BOB: "editor"})
    elsewhere = service.client(ADA, project=team)
    key, narrowed = await make_key(ada), service.client()
    narrowed.headers.update((await sign_in(narrowed, scope="triggers:read")).headers)
    editor = service.client(BOB, project=team)
    there = await make_key(elsewhere)

    for client, hidden in ((bob, key), (narrowed, key), (elsewhere, key), (editor, there)):
        for method in ("GET", "PATCH"):
            body = {"name": "mine"} if method == "PATCH" else None
            hers = await client.request(method, f"/auth/keys/{hidden['id']}", json=body)
            nobodys = await client.request(method, f"/auth/keys/{10**9}", json=body)
            assert problem_of(hers, 404) == problem_of(nobodys, 404)
    machine = holding(service, key)
    for answer in (await change(machine, key), await machine.get(f"/auth/keys/{key['id']}")):
        assert problem_of(answer, 403)["type"] == "urn:event-trigger:problem:for-logins-only"


async def test_what_is_absent_stays(ada: httpx.AsyncClient, database: Any) -> None:
    trigger = await make_api(ada)
    key = await make_key(ada, *READING, trigger_ids=[trigger["id"]], expires_at=SOON)
    del key["key"]

    same = await changed(ada, key)
    named = await changed(ada, key, name="another name")
    sent_back = await changed(
        ada, key, **{name: key[name] for name in ("name", "scopes", "trigger_ids", "expires_at")}
    )

    assert (same, sent_back) == (key, key)
    assert named == key | {"name": "another name"}
    entries = await database.fetch(
        "SELECT before, after, target_id FROM audit_entries WHERE action = 'update_key' ORDER BY id"
    )
    assert [(one["before"], one["after"]) for one in entries] == [
        ('{"name": "a key"}', '{"name": "another name"}'),
        ('{"name": "another name"}', '{"name": "a key"}'),
    ]
    assert {one["target_id"] for one in entries} == {key["id"]}


async def test_what_is_taken_is_gone_at_every_replica(
    ada: httpx.AsyncClient, stale: httpx.AsyncClient, service: Service, elsewhere: Service
) -> None:
    mine, other = await make_api(ada), await make_api(ada)
    key = await make_key(ada, expires_at=None)
    here, there = holding(service, key), holding(elsewhere, key)
    assert await statuses_of(here, there, path=f"/triggers/{other['id']}") == [200, 200]

    found = await changed(
        stale, key, scopes=["triggers:read"], trigger_ids=[mine["id"]], expires_at=SOON
    )

    assert found["scopes"] == ["triggers:read"]
    assert (found["trigger_ids"], found["expires_at"]) == ([mine["id"]], SOON)
    assert (await here.get("/events")).status_code == 403
    await asyncio.sleep(REVOKED_WITHIN)
    for one in (here, there):
        assert await statuses_of(one, path="/events") == [403]
        assert await statuses_of(one, path=f"/triggers/{mine['id']}") == [200]
        assert await statuses_of(one, path=f"/triggers/{other['id']}") == [404]


async def test_what_is_given_works_at_every_replica(
    ada: httpx.AsyncClient, service: Service, elsewhere: Service
) -> None:
    mine, other = await make_api(ada), await make_api(ada)
    key = await make_key(ada, "triggers:read", trigger_ids=[mine["id"]], expires_at=SOON)
    here, there = holding(service, key), holding(elsewhere, key)
    assert await statuses_of(here, there, path=f"/triggers/{other['id']}") == [404, 404]

    found = await changed(
        ada, key, scopes=["triggers:read", "triggers:fire"], trigger_ids=None, expires_at=None
    )
    await asyncio.sleep(REVOKED_WITHIN)

    assert (found["trigger_ids"], found["expires_at"]) == (None, None)
    for one in (here, there):
        await fire(one, other)
        assert await statuses_of(one, path=f"/triggers/{other['id']}") == [200]


async def test_giving_more_takes_a_fresh_login(
    ada: httpx.AsyncClient, stale: httpx.AsyncClient
) -> None:
    mine, other = [(await make_api(ada))["id"] for _ in range(2)]
    key = await make_key(ada, "triggers:read", trigger_ids=[mine], expires_at=SOON)
    more: list[dict[str, Any]] = [
        {"scopes": ["triggers:read", "events:read"]},
        {"scopes": ["events:read"]},
        {"scopes": ["admin"]},
        {"trigger_ids": None},
        {"trigger_ids": [mine, other]},
        {"trigger_ids": [other]},
        {"trigger_ids": [10**9]},
        {"expires_at": None},
        {"expires_at": LATER},
    ]

    for body in more:
        answer = await change(stale, key, **body, name="not kept")
        problem = problem_of(answer, 401)
        assert problem["type"] == "urn:event-trigger:problem:reauthenticate", body
        assert 'max_age="900"' in answer.headers["www-authenticate"]

    found = (await ada.get(f"/auth/keys/{key['id']}")).json()
    assert found == {name: value for name, value in key.items() if name != "key"}
    assert (await changed(stale, key, name="kept"))["name"] == "kept"


async def test_nobody_gives_a_key_more_than_they_hold(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient, service: Service
) -> None:
    team = await add_project(service, ADA, {BOB: "viewer"})
    viewer, narrowed = service.client(BOB, project=team), service.client()
    narrowed.headers.update((await sign_in(narrowed, scope="events:read triggers:read")).headers)
    his, hers = await make_key(viewer, "events:read"), await make_key(ada, "events:read")

    def missing(answer: httpx.Response) -> str:
        problem = problem_of(answer, 403)
        assert problem["type"] == "urn:event-trigger:problem:missing-scope"
        return str(problem["detail"]).split("scope ")[1].split(",")[0]

    assert missing(await change(viewer, his, scopes=["triggers:fire"])) == "triggers:fire"
    assert missing(await change(narrowed, hers, scopes=["triggers:write"])) == "triggers:write"
    assert missing(await change(ada, hers, scopes=["events:read", "admin"])) == "admin"
    assert (await changed(narrowed, hers, scopes=["triggers:read"]))["scopes"] == ["triggers:read"]
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    root = await make_key(bob, "admin", "triggers:read", expires_at=SOON)
    await admin.patch(f"/users/{BOB}", json={"role": "user"})
    assert missing(await change(bob, root, expires_at=LATER)) == "admin"
    assert (await changed(bob, root, name="was an admin's"))["scopes"] == ["admin", "triggers:read"]
    assert (await changed(bob, root, scopes=["triggers:read"]))["scopes"] == ["triggers:read"]


async def test_owners_take_from_others_keys_and_give_nothing(
    service: Service, elsewhere: Service
) -> None:
    team = await add_project(service, ADA, {BOB: "editor"})
    owner, editor = service.client(ADA, project=team), service.client(BOB, project=team)
    key = await make_key(editor, "triggers:read", "events:read", expires_at=LATER)
    there = holding(elsewhere, key)
    assert await statuses_of(there, path="/events") == [200]

    for body in (
        {"scopes": ALL_SCOPES},
        {"expires_at": None},
        {"name": "hers"},
        {"name": "hers", "scopes": ["triggers:read"]},
    ):
        problem = problem_of(await change(owner, key, **body), 403)
        assert problem["type"] == "urn:event-trigger:problem:others-key", body
    taken = await changed(owner, key, name=key["name"], scopes=["triggers:read"], expires_at=SOON)

    assert (taken["user_id"], taken["scopes"], taken["expires_at"]) == (
        BOB,
        ["triggers:read"],
        SOON,
    )
    await asyncio.sleep(REVOKED_WITHIN)
    assert await statuses_of(there, path="/events") == [403]
    problem_of(await change(owner, key, scopes=["triggers:read", "events:read"]), 403)
    assert (await changed(editor, key, scopes=["events:read"]))["scopes"] == ["events:read"]


async def test_an_admin_takes_from_any_key(ada: httpx.AsyncClient, service: Service) -> None:
    admin, key = service.client(ADMIN, project=ADA), await make_key(ada)
    own = await make_key(service.client(ADMIN), "triggers:read")

    taken = await changed(admin, key, scopes=["events:read"])

    assert (taken["user_id"], taken["scopes"]) == (ADA, ["events:read"])
    problem_of(await change(admin, key, scopes=["events:read", "admin"]), 403)
    assert (await changed(service.client(ADMIN), own, scopes=["admin"]))["scopes"] == ["admin"]


@pytest.mark.parametrize(
    ("change_of", "place"),
    [
        ({"name": ""}, "#/name"),
        ({"name": None}, "#/name"),
        ({"name": "x" * 101}, "#/name"),
        ({"scopes": []}, "#/scopes"),
        ({"scopes": None}, "#/scopes"),
        ({"scopes": ["everything"]}, "#/scopes/0"),
        ({"trigger_ids": []}, "#/trigger_ids"),
        ({"trigger_ids": [10**9]}, "#/trigger_ids/0"),
        ({"trigger_ids": [2**63]}, "#/trigger_ids/0"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "#/expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "#/expires_at"),
        ({"key": "etk_mine"}, "#/key"),
        ({"project_id": 1}, "#/project_id"),
    ],
)
async def test_what_is_no_key_is_refused(
    ada: httpx.AsyncClient, change_of: dict[str, Any], place: str
) -> None:
    key = await make_key(ada)

    refused = await change(ada, key, **change_of)

    assert places_of(refused) == [place]
    found = (await ada.get(f"/auth/keys/{key['id']}")).json()
    assert found == {name: value for name, value in key.items() if name != "key"}


async def test_triggers_of_others_are_refused_like_none(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    key, his, hers = await make_key(ada), await make_api(bob), await make_api(ada)

    answers = [await change(ada, key, trigger_ids=[hers["id"], one]) for one in (his["id"], 10**9)]

    assert [places_of(one) for one in answers] == [["#/trigger_ids/1"]] * 2
    assert answers[0].content == answers[1].content


async def test_a_key_keeps_triggers_that_are_gone(ada: httpx.AsyncClient) -> None:
    first, second = [(await make_api(ada))["id"] for _ in range(2)]
    key = await make_key(ada, trigger_ids=[first, second])
    await ada.delete(f"/triggers/{first}")

    kept = await changed(ada, key, name="kept", trigger_ids=[second, first, second])
    fewer = await changed(ada, key, trigger_ids=[first])

    assert (kept["trigger_ids"], fewer["trigger_ids"]) == ([second, first], [first])
    assert places_of(await change(ada, key, trigger_ids=[first, 10**9])) == ["#/trigger_ids/1"]


async def test_a_key_for_some_triggers_is_made_no_admins(admin: httpx.AsyncClient) -> None:
    trigger = (await make_api(admin))["id"]
    limited = await make_key(admin, "triggers:read", trigger_ids=[trigger])
    root = await make_key(admin, "admin")

    assert places_of(await change(admin, limited, scopes=["admin"])) == ["#/scopes"]
    assert places_of(await change(admin, root, trigger_ids=[trigger])) == ["#/scopes"]


async def test_a_key_that_has_ended_never_works_again(
    ada: httpx.AsyncClient, service: Service, database: Any
) -> None:
    key = await make_key(ada)
    await database.execute("UPDATE api_keys SET expires_at = now()")

    for body in ({"expires_at": None}, {"name": "again"}, {"expires_at": LATER}, {}):
        problem = problem_of(await change(ada, key, **body), 409)
        assert problem["type"] == "urn:event-trigger:problem:key-ended"

    assert (await ada.get(f"/auth/keys/{key['id']}")).json()["name"] == "a key"
    await asyncio.sleep(REVOKED_WITHIN)
    problem_of(await holding(service, key).get("/triggers"), 401)


async def test_of_changes_at_once_none_is_lost(ada: httpx.AsyncClient) -> None:
    key = await make_key(ada)

    answers = await asyncio.gather(
        change(ada, key, name="one name"),
        change(ada, key, scopes=["triggers:read"]),
        change(ada, key, expires_at=SOON),
    )

    assert [one.status_code for one in answers] == [200] * 3
    found = (await ada.get(f"/auth/keys/{key['id']}")).json()
    assert (found["name"], found["scopes"], found["expires_at"]) == (
        "one name",
        ["triggers:read"],
        SOON,
    )
