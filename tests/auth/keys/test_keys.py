"""API keys allow their scopes and triggers, and nothing else."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from event_trigger.auth.keys.lifecycle import MAX_KEYS
from tests.support.destinations import fire, list_deliveries, make_destination
from tests.support.keys import ALL_SCOPES, holding, make_key
from tests.support.logins import refresh, sign_in, tokens_of
from tests.support.problems import places_of, problem_of
from tests.support.projects import add_member, make_project
from tests.support.services import ADA, ADMIN, BOB, Service
from tests.support.triggers import instant, make_api
from tests.support.waiting import eventually

URL = "https://1.1.1.1/hook"


def missing_scope(answer: httpx.Response) -> str:
    problem = problem_of(answer, 403)
    assert problem["type"] == "urn:event-trigger:problem:missing-scope"
    named: str = problem["detail"].split("scope ")[1].split(",")[0]
    assert f'scope="{named}"' in answer.headers["www-authenticate"]
    return named


async def test_a_key_is_shown_once_and_works_in_both_headers(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    made = await make_key(ada, "triggers:read")
    key = made.pop("key")

    by_bearer = await anonymous.get("/triggers", headers={"Authorization": f"Bearer {key}"})
    by_header = await anonymous.get("/triggers", headers={"X-API-Key": key})

    assert key.startswith(made["prefix"])
    assert len(made["prefix"]) < 12
    assert by_bearer.status_code == by_header.status_code == 200
    [listed] = (await ada.get("/auth/keys")).json()
    assert listed.pop("last_used_at") is not None
    assert listed == {name: value for name, value in made.items() if name != "last_used_at"}


async def test_only_a_hash_of_a_key_is_kept(ada: httpx.AsyncClient, database: Any) -> None:
    made = await make_key(ada)

    stored = repr(dict(await database.fetchrow("SELECT * FROM api_keys")))

    assert made["key"] not in stored
    assert made["key"].removeprefix("etk_")[8:] not in stored


async def test_a_key_does_what_its_scopes_say_and_nothing_else(
    ada: httpx.AsyncClient, service: Service
) -> None:
    trigger = await make_api(ada)
    firing = holding(service, await make_key(ada, "triggers:fire"))
    reading = holding(service, await make_key(ada, "triggers:read", "events:read"))

    await fire(firing, trigger)

    assert missing_scope(await firing.get("/triggers")) == "triggers:read"
    assert missing_scope(await firing.get("/events")) == "events:read"
    assert missing_scope(await reading.post(f"/triggers/{trigger['id']}/trigger")) == (
        "triggers:fire"
    )
    assert missing_scope(await reading.post("/triggers", json={"type": "api"})) == "triggers:write"
    assert missing_scope(await reading.get("/destinations")) == "destinations:read"
    [event] = (await reading.get("/events")).json()
    assert missing_scope(await firing.post(f"/events/{event['id']}/replay")) == "events:read"
    assert len((await reading.get("/events")).json()) == 1


async def test_a_key_never_holds_more_than_its_maker(
    ada: httpx.AsyncClient, service: Service, admin: httpx.AsyncClient
) -> None:
    narrowed = service.client()
    login = await sign_in(narrowed, scope="triggers:read")
    narrowed.headers.update(login.headers)

    wider = await narrowed.post("/auth/keys", json={"name": "k", "scopes": ["triggers:fire"]})
    root = await ada.post("/auth/keys", json={"name": "k", "scopes": ["admin"]})

    assert missing_scope(wider) == "triggers:fire"
    assert missing_scope(root) == "admin"
    assert (await make_key(narrowed, "triggers:read"))["scopes"] == ["triggers:read"]
    assert (await make_key(admin, "admin"))["scopes"] == ["admin"]


async def test_an_admins_key_sees_what_is_everybodys_only_with_that_scope(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, service: Service
) -> None:
    trigger = await make_api(ada)
    reading = holding(service, await make_key(admin, "triggers:read"))
    ruling = holding(service, await make_key(admin, "triggers:read", "admin"))

    assert (await reading.get("/triggers")).json() == []
    problem_of(await reading.get(f"/triggers/{trigger['id']}"), 404)
    problem_of(await reading.get("/triggers", headers={"X-Project-ID": "*"}), 404)
    ruling.headers["X-Project-ID"] = "*"
    assert [one["id"] for one in (await ruling.get("/triggers")).json()] == [trigger["id"]]


async def test_a_key_for_some_triggers_knows_no_others(
    ada: httpx.AsyncClient, service: Service
) -> None:
    mine, other = await make_api(ada, name="mine"), await make_api(ada, name="other")
    seen, unseen = await fire(ada, mine), await fire(ada, other)
    limited = holding(service, await make_key(ada, trigger_ids=[mine["id"], mine["id"]]))

    for method, path in (
        ("GET", "/triggers/{}"),
        ("PATCH", "/triggers/{}"),
        ("DELETE", "/triggers/{}"),
        ("POST", "/triggers/{}/pause"),
        ("POST", "/triggers/{}/trigger"),
        ("GET", "/triggers/{}/schedule"),
        ("GET", "/triggers/{}/accounting"),
    ):
        body: dict[str, Any] | None = {} if method == "PATCH" else None
        others = await limited.request(method, path.format(other["id"]), json=body)
        nobodys = await limited.request(method, path.format(10**9), json=body)
        assert problem_of(others, 404) == problem_of(nobodys, 404), path
    problem_of(await limited.get(f"/events/{unseen}"), 404)
    problem_of(await limited.post(f"/events/{unseen}/replay"), 404)
    assert [one["id"] for one in (await limited.get("/triggers")).json()] == [mine["id"]]
    assert [one["id"] for one in (await limited.get("/events")).json()] == [seen]
    counts = (await limited.get("/events", params={"aggregate": True})).json()
    assert counts == [{"trigger_id": mine["id"], "count": 1}]
    exported = await limited.get("/events/export")
    assert len(exported.text.splitlines()) == 1
    await fire(limited, mine)


async def test_a_key_for_some_triggers_has_nothing_to_do_with_destinations(
    ada: httpx.AsyncClient, service: Service
) -> None:
    destination = await make_destination(ada, URL)
    await ada.post(f"/destinations/{destination['id']}/disable")
    mine = await make_api(ada, destinations=[destination["id"]])
    other = await make_api(ada, destinations=[destination["id"]])
    await fire(ada, mine)
    await fire(ada, other)
    limited = holding(service, await make_key(ada, trigger_ids=[mine["id"]]))
    [hidden] = await list_deliveries(ada, trigger_id=other["id"])

    [delivery] = await list_deliveries(limited)

    assert delivery["trigger_id"] == mine["id"]
    problem_of(await limited.get(f"/deliveries/{hidden['id']}"), 404)
    for method, path in (
        ("GET", "/destinations"),
        ("GET", f"/destinations/{destination['id']}"),
        ("POST", f"/deliveries/{delivery['id']}/redeliver"),
        ("POST", "/triggers"),
    ):
        body = {"type": "api"} if path == "/triggers" else None
        problem = problem_of(await limited.request(method, path, json=body), 403)
        assert problem["type"] == "urn:event-trigger:problem:limited-key", path


async def test_a_key_is_for_its_makers_triggers_only(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    his, hers = await make_api(bob), await make_api(ada)

    for client in (ada, admin):
        body: dict[str, Any] = {"name": "k", "scopes": ["events:read"], "trigger_ids": [his["id"]]}
        refused = await client.post("/auth/keys", json=body)
        assert places_of(refused) == ["#/trigger_ids/0"]
    body["trigger_ids"] = [hers["id"], 10**9]
    assert places_of(await ada.post("/auth/keys", json=body)) == ["#/trigger_ids/1"]


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"name": ""}, "#/name"),
        ({"scopes": []}, "#/scopes"),
        ({"scopes": ["everything"]}, "#/scopes/0"),
        ({"trigger_ids": []}, "#/trigger_ids"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "#/expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "#/expires_at"),
        ({"key": "etk_mine"}, "#/key"),
    ],
)
async def test_what_is_no_key_is_refused(
    ada: httpx.AsyncClient, change: dict[str, Any], place: str
) -> None:
    body = {"name": "k", "scopes": ["events:read"], **change}

    assert places_of(await ada.post("/auth/keys", json=body)) == [place]
    assert (await ada.get("/auth/keys")).json() == []


async def test_a_key_for_some_triggers_is_no_admins(admin: httpx.AsyncClient) -> None:
    body = {"name": "k", "scopes": ["admin"], "trigger_ids": [(await make_api(admin))["id"]]}

    assert places_of(await admin.post("/auth/keys", json=body)) == ["#/scopes"]


async def test_who_is_narrowed_neither_sees_nor_ends_a_key_that_may_do_more(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    wide, narrow = await make_key(ada), await make_key(ada, "events:read")
    headers = (await sign_in(anonymous, scope="events:read")).headers

    listed = (await anonymous.get("/auth/keys", headers=headers)).json()
    problem_of(await anonymous.delete(f"/auth/keys/{wide['id']}", headers=headers), 404)
    ended = await anonymous.delete(f"/auth/keys/{narrow['id']}", headers=headers)

    assert [one["id"] for one in listed] == [narrow["id"]]
    assert ended.status_code == 204


async def test_a_key_ends_when_it_says_so(
    ada: httpx.AsyncClient, service: Service, database: Any
) -> None:
    expiring = holding(service, await make_key(ada))
    assert (await expiring.get("/triggers")).status_code == 200
    await database.execute("UPDATE api_keys SET expires_at = now()")

    async def status() -> int:
        return (await expiring.get("/triggers")).status_code

    await eventually(status, lambda found: found == 401)


async def test_keys_neither_make_nor_see_nor_end_other_keys(
    ada: httpx.AsyncClient, service: Service
) -> None:
    made, other = await make_key(ada), await make_key(ada)
    machine = holding(service, made)

    for answer in (
        await machine.get("/auth/keys"),
        await machine.post("/auth/keys", json={"name": "k", "scopes": ["events:read"]}),
        await machine.delete(f"/auth/keys/{other['id']}"),
        await machine.delete(f"/auth/keys/{10**9}"),
        await machine.post("/auth/logout"),
    ):
        problem = problem_of(answer, 403)
        assert problem["type"] == "urn:event-trigger:problem:for-logins-only"
    assert (await machine.get("/auth/me")).json()["id"] == ADA


async def test_a_key_ends_itself_and_is_refused_at_once(
    ada: httpx.AsyncClient, service: Service
) -> None:
    trigger = await make_api(ada)
    made = await make_key(ada, "triggers:read", trigger_ids=[trigger["id"]])
    kept = await make_key(ada)
    machine = holding(service, made)

    ended = await machine.delete(f"/auth/keys/{made['id']}")
    again = await machine.delete(f"/auth/keys/{made['id']}")

    assert (ended.status_code, ended.content) == (204, b"")
    assert problem_of(again, 401)["type"] == "urn:event-trigger:problem:unauthorized"
    assert (await machine.get("/triggers")).status_code == 401
    assert [one["id"] for one in (await ada.get("/auth/keys")).json()] == [kept["id"]]


async def test_somebody_elses_key_looks_like_none(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, overseer: httpx.AsyncClient, service: Service
) -> None:
    made = await make_key(ada)

    his = problem_of(await bob.delete(f"/auth/keys/{made['id']}"), 404)
    none = problem_of(await bob.delete(f"/auth/keys/{10**9}"), 404)

    assert his == none
    assert (await bob.get("/auth/keys")).json() == []
    assert [one["user_id"] for one in (await overseer.get("/auth/keys")).json()] == [ADA]
    assert (
        await service.client(ADMIN, project=ADA).delete(f"/auth/keys/{made['id']}")
    ).status_code == 204
    problem_of(await holding(service, made).get("/triggers"), 401)


async def test_nobody_has_more_keys_than_can_be_looked_after(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, database: Any
) -> None:
    await database.execute(
        "INSERT INTO api_keys (user_id, name, prefix, key_hash, scopes)"
        " SELECT $1, 'k', 'etk_', sha256(number::text::bytea), '{}'"
        " FROM generate_series(1, $2::int) AS number",
        ADA,
        MAX_KEYS,
    )

    body = {"name": "k", "scopes": ALL_SCOPES}
    problem = problem_of(await ada.post("/auth/keys", json=body), 409)

    assert problem["type"] == "urn:event-trigger:problem:too-many-keys"
    assert "in all your projects" in problem["detail"]
    await make_key(bob)


async def test_keys_that_have_ended_count_no_more_and_the_oldest_are_forgotten(
    ada: httpx.AsyncClient, database: Any
) -> None:
    await database.execute(
        "INSERT INTO api_keys (user_id, name, prefix, key_hash, scopes, expires_at)"
        " SELECT $1, 'k', 'etk_', sha256(number::text::bytea), '{}', now()"
        " FROM generate_series(1, $2::int) AS number",
        ADA,
        MAX_KEYS + 2,
    )
    oldest = await database.fetch("SELECT id FROM api_keys ORDER BY id LIMIT 2")

    made = await make_key(ada)

    kept = {one["id"] for one in await database.fetch("SELECT id FROM api_keys")}
    assert (made["id"] in kept, len(kept)) == (True, MAX_KEYS + 1)
    assert not kept & {one["id"] for one in oldest}


async def test_an_admin_makes_keys_only_in_projects_of_which_it_is_a_member(
    ada: httpx.AsyncClient, service: Service
) -> None:
    project = await make_project(ada)
    there = service.client(ADMIN, project=project)
    body = {"name": "k", "scopes": ["triggers:read"]}

    refused = problem_of(await there.post("/auth/keys", json=body), 409)
    await add_member(ada, project, ADMIN, "viewer")
    made = await there.post("/auth/keys", json=body)
    wider = await there.post("/auth/keys", json={**body, "scopes": ["triggers:write"]})

    assert refused["type"].endswith(":not-a-member")
    assert "Become a member of the project first" in refused["detail"]
    assert (await holding(service, made.json()).get("/triggers")).status_code == 200
    assert missing_scope(wider) == "triggers:write"


@pytest.mark.parametrize("key", ["etk_", "etk_" + "x" * 43, "etk_" + "x" * 10_000, "etk_\u00e9"])
async def test_what_is_not_a_key_is_nobodys(anonymous: httpx.AsyncClient, key: str) -> None:
    for header in ("X-API-Key", "Authorization"):
        text = key if header == "X-API-Key" else f"Bearer {key}"
        answer = await anonymous.get("/triggers", headers=[(header.encode(), text.encode())])
        problem_of(answer, 401)


async def test_a_users_keys_end_with_the_user(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, admin: httpx.AsyncClient, service: Service
) -> None:
    machine = holding(service, await make_key(bob, expires_at=None))
    other = holding(service, await make_key(ada))
    statuses = []
    for disabled in (True, False):
        await admin.patch(f"/users/{BOB}", json={"disabled": disabled})
        statuses.append((await machine.get("/triggers")).status_code)

    assert statuses == [401, 401]
    assert (await other.get("/triggers")).status_code == 200
    again = service.client()
    again.headers.update((await sign_in(again, "bob@example.com")).headers)
    [ended] = (await again.get("/auth/keys")).json()
    assert instant(ended["expires_at"]) <= datetime.now(UTC) + timedelta(minutes=1)
    assert (await holding(service, await make_key(again)).get("/triggers")).status_code == 200


async def test_a_key_expires_after_a_year_unless_its_maker_says_otherwise(
    ada: httpx.AsyncClient,
) -> None:
    made = await make_key(ada)
    forever = await make_key(ada, expires_at=None)
    later = await make_key(ada, expires_at="2090-01-01T00:00:00Z")

    lasts = instant(made["expires_at"]) - instant(made["created_at"])
    assert lasts == timedelta(days=365)
    assert (forever["expires_at"], later["expires_at"]) == (None, "2090-01-01T00:00:00Z")


async def test_a_key_is_made_only_shortly_after_the_password_was_given(
    anonymous: httpx.AsyncClient, database: Any
) -> None:
    tokens = await sign_in(anonymous)
    body = {"name": "k", "scopes": ["events:read"]}
    fresh = await anonymous.post("/auth/keys", json=body, headers=tokens.headers)
    await database.execute("UPDATE logins SET created_at = created_at - interval '14 min 30 s'")
    still = await anonymous.post("/auth/keys", json=body, headers=tokens.headers)
    await database.execute("UPDATE logins SET created_at = created_at - interval '31 s'")
    renewed = tokens_of(await refresh(anonymous, tokens))

    assert (fresh.status_code, still.status_code) == (201, 201)
    for stale in (tokens, renewed):
        for sent in (body, body | {"scopes": ["admin"]}, body | {"trigger_ids": [10**9]}):
            answer = await anonymous.post("/auth/keys", json=sent, headers=stale.headers)
            problem = problem_of(answer, 401)
            assert problem["type"] == "urn:event-trigger:problem:reauthenticate"
            assert 'max_age="900"' in answer.headers["www-authenticate"]
        assert (await anonymous.get("/triggers", headers=stale.headers)).status_code == 200
    again = await sign_in(anonymous)
    made = await anonymous.post("/auth/keys", json=body, headers=again.headers)
    assert made.status_code == 201


async def test_an_admin_who_is_narrowed_neither_sees_nor_ends_what_is_an_admins(
    ada: httpx.AsyncClient, admin: httpx.AsyncClient, anonymous: httpx.AsyncClient
) -> None:
    root, mixed = await make_key(admin, "admin"), await make_key(admin, "admin", "triggers:read")
    reading, hers = await make_key(admin, "triggers:read"), await make_key(ada, "triggers:read")
    anonymous.headers.update(
        (await sign_in(anonymous, "admin@example.com", scope="triggers:read")).headers
    )

    listed = (await anonymous.get("/auth/keys")).json()
    for key in (root, mixed, hers):
        problem_of(await anonymous.delete(f"/auth/keys/{key['id']}"), 404)

    assert [one["id"] for one in listed] == [reading["id"]]
    assert (await anonymous.delete(f"/auth/keys/{reading['id']}")).status_code == 204
    assert missing_scope(await anonymous.get("/users")) == "admin"
    assert missing_scope(await anonymous.get("/audit")) == "admin"


async def test_who_is_an_admin_no_more_still_looks_after_their_keys(
    bob: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    await admin.patch(f"/users/{BOB}", json={"role": "admin"})
    root = await make_key(bob, "admin", "triggers:read")
    await admin.patch(f"/users/{BOB}", json={"role": "user"})

    assert [one["id"] for one in (await bob.get("/auth/keys")).json()] == [root["id"]]
    assert (await bob.delete(f"/auth/keys/{root['id']}")).status_code == 204


async def test_only_destinations_that_may_be_read_are_named(
    ada: httpx.AsyncClient, service: Service
) -> None:
    first, second = [(await make_destination(ada, URL))["id"] for _ in range(2)]
    mine = await make_api(ada, destinations=[first])
    path = f"/triggers/{mine['id']}"
    writing = holding(service, await make_key(ada, "triggers:write", "triggers:read"))
    limited = holding(service, await make_key(ada, trigger_ids=[mine["id"]]))
    reading = holding(service, await make_key(ada, "triggers:write", "destinations:read"))

    for wanted in ([first, second], [second], [10**9]):
        refused = await writing.patch(path, json={"destinations": wanted})
        assert missing_scope(refused) == "destinations:read"
        problem = problem_of(await limited.patch(path, json={"destinations": wanted}), 403)
        assert problem["type"] == "urn:event-trigger:problem:limited-key"
        assert "without trigger_ids" in problem["detail"]
    made = await writing.post("/triggers", json={"type": "api", "destinations": [first]})
    assert missing_scope(made) == "destinations:read"
    assert (await ada.get(path)).json()["destinations"] == [first]

    for client in (writing, limited):  # what is named already may stay, and go
        kept = await client.patch(path, json={"destinations": [first], "name": "kept"})
        assert kept.json()["destinations"] == [first]
    assert (await writing.patch(path, json={"destinations": []})).json()["destinations"] == []
    assert missing_scope(await writing.patch(path, json={"destinations": [first]})) == (
        "destinations:read"
    )
    named = await reading.patch(path, json={"destinations": [second]})
    assert named.json()["destinations"] == [second]
    assert (await writing.post("/triggers", json={"type": "api"})).status_code == 201
