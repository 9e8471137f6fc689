"""PUT creates a trigger under its key or replaces it; the same content again changes nothing."""

import asyncio
from typing import Any

import httpx

from tests.support.databases import connect
from tests.support.destinations import make_destination
from tests.support.keys import holding, make_key
from tests.support.locks import until_somebody_waits
from tests.support.problems import places_of, problem_of
from tests.support.services import Service
from tests.support.triggers import make_api, make_scheduled, read

URL = "https://1.1.1.1/hook"
HALF_HOURLY = {"interval": 30, "recurring": True}
WHOLE: dict[str, Any] = {
    "type": "scheduled",
    "name": "n",
    "details": HALF_HOURLY,
    "payload": {"a": 1, "b": [1.0, None]},
    "tags": ["x", "y"],
    "on_completion": "delete",
}


async def put(client: httpx.AsyncClient, key: str, body: Any, **sent: Any) -> httpx.Response:
    return await client.put(f"/triggers/by-key/{key}", json=body, **sent)


async def stored(service: Service) -> list[Any]:
    """Gives all that a change leaves behind: rows of triggers, tags, versions, hooks, the log."""
    connection = await connect(service.database_url)
    rows = [
        await connection.fetch(f"SELECT * FROM {table} ORDER BY 1, 2, 3")
        for table in ("triggers", "trigger_tags", "schedule_versions", "hooks", "audit_entries")
    ]
    await connection.close()
    return rows


async def test_a_put_creates_and_then_replaces_the_whole(
    service: Service, ada: httpx.AsyncClient, admin: httpx.AsyncClient
) -> None:
    created = await put(ada, "nightly", WHOLE)
    replaced = await put(ada, "nightly", {"type": "scheduled", "details": {"cron": "@daily"}})

    made, other = created.json(), replaced.json()
    assert (created.status_code, replaced.status_code) == (201, 200)
    assert created.headers["location"] == f"/triggers/{made['id']}"
    assert "location" not in replaced.headers
    assert {name: made[name] for name in WHOLE} == WHOLE
    assert (other["id"], other["key"], other["details"]) == (
        made["id"],
        "nightly",
        {"cron": "@daily"},
    )
    assert [other[name] for name in ("name", "payload", "tags", "on_completion")] == [
        *(None, None, []),
        "keep",
    ]
    by_key = (await ada.get("/triggers/by-key/nightly")).json()
    assert by_key == await read(ada, made["id"])
    log = (await admin.get("/audit", params={"target": "trigger"})).json()
    assert [entry["action"] for entry in log] == ["put_trigger_by_key"] * 2


async def test_the_same_content_again_changes_nothing(
    service: Service, ada: httpx.AsyncClient
) -> None:
    await make_destination(ada, URL, key="billing")
    hooked = {"type": "api", "details": {"hook": {"verify": "github"}}, "destinations": ["billing"]}
    first = [(await put(ada, key, body)).json() for key, body in (("s", WHOLE), ("h", hooked))]
    before = await stored(service)

    spelt = {
        **WHOLE,
        "payload": {"b": [1, None], "a": 1.0},
        "details": {"recurring": True, "interval": "PT30M", "cron": None, "catch_up": "latest"},
    }
    again = [
        (await put(ada, key, body)).json()
        for key, body in (("s", WHOLE), ("s", spelt), ("h", hooked))
    ]

    assert await stored(service) == before
    assert again == [first[0], first[0], {**first[1], "hook_secret": None}]


async def test_a_schedule_that_stays_keeps_its_phase_and_a_paused_trigger_its_status(
    ada: httpx.AsyncClient,
) -> None:
    made = (await put(ada, "one", WHOLE)).json()
    await ada.post("/triggers/by-key/one/pause")

    renamed = (await put(ada, "one", {**WHOLE, "name": "other"})).json()
    resumed = (await ada.post("/triggers/by-key/one/resume")).json()
    spelt = (
        await put(ada, "one", {**WHOLE, "details": {"interval": "PT30M", "recurring": True}})
    ).json()
    moved = (
        await put(ada, "one", {**WHOLE, "details": {"interval": 31, "recurring": True}})
    ).json()

    assert (renamed["status"], renamed["name"], resumed["status"]) == ("paused", "other", "active")
    assert spelt["next_fire_at"] == resumed["next_fire_at"] == made["next_fire_at"]
    assert moved["next_fire_at"] > made["next_fire_at"]


async def test_a_put_by_id_replaces_only(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada, key="one", name="n", payload={"a": 1})

    answer = await ada.put(f"/triggers/{made['id']}", json={"type": "api", "key": "two"})
    missing = await ada.put("/triggers/987654321", json={"type": "api"})

    assert {**answer.json(), "updated_at": None} == {
        **made,
        "key": "two",
        "name": None,
        "payload": None,
        "updated_at": None,
    }
    problem_of(missing, 404)


async def test_what_a_put_cannot_mean_is_refused_and_nothing_is_changed(
    service: Service, ada: httpx.AsyncClient
) -> None:
    made = await make_api(ada, key="one")
    await make_api(ada, key="two")
    before = await stored(service)

    other_type = await put(ada, "one", WHOLE)
    other_key = await put(ada, "one", {"type": "api", "key": "two"})
    taken = await ada.put(f"/triggers/{made['id']}", json={"type": "api", "key": "two"})
    sent_back = await put(ada, "new", made)
    refused = {
        "no type": await put(ada, "one", {}),
        "no key": await put(ada, "One", {"type": "api"}),
        "an unknown field": await put(ada, "one", {"type": "api", "colour": "red"}),
        "no destination": await put(ada, "one", {"type": "api", "destinations": ["none"]}),
    }

    assert problem_of(other_type, 409)["type"].endswith(":trigger-type-fixed")
    assert places_of(other_key) == ["#/key"]
    assert problem_of(taken, 409)["type"].endswith(":key-taken")
    assert "#/id" in places_of(sent_back)
    assert [places_of(answer) for answer in refused.values()] == [
        ["#/type"],
        ["key"],
        ["#/colour"],
        ["#/destinations/0"],
    ]
    assert await stored(service) == before


async def test_puts_of_one_new_key_at_once_make_one_trigger(
    service: Service, ada: httpx.AsyncClient
) -> None:
    answers = await asyncio.gather(
        *(put(ada, "one", {**WHOLE, "name": f"n{n}"}) for n in range(10)),
        *(ada.post("/triggers", json={**WHOLE, "key": "one"}) for _ in range(2)),
    )

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses.count(201) == 1
    assert set(statuses) <= {200, 201, 409}
    assert len((await ada.get("/triggers")).json()) == 1


async def test_a_key_for_some_triggers_replaces_them_and_makes_none(
    service: Service, ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    mine, _ = await make_api(ada, key="mine"), await make_api(ada, key="other")
    limited = holding(service, await make_key(ada, trigger_ids=[mine["id"]]))

    answers = {
        key: await put(limited, key, {"type": "api", "name": "n"})
        for key in ("mine", "other", "none")
    }
    theirs = [await limited.get(f"/triggers/by-key/{key}") for key in ("mine", "other", "none")]

    assert [answer.status_code for answer in answers.values()] == [200, 403, 403]
    assert answers["other"].content == answers["none"].content
    assert [answer.status_code for answer in theirs] == [200, 404, 404]
    assert (await bob.get("/triggers/by-key/mine")).content == theirs[1].content


async def test_every_path_by_key_acts_as_by_id(ada: httpx.AsyncClient) -> None:
    for key in ("one", "pause", "schedule", "trigger", "secret", "explain"):  # parts of paths, too
        made, path = await make_scheduled(ada, key=key), f"/triggers/by-key/{key}"

        paused = await ada.post(f"{path}/pause")
        refused = await ada.post(f"{path}/trigger")
        tested = await ada.post(f"{path}/test")
        resumed = await ada.post(f"{path}/resume")
        fired = await ada.post(f"{path}/trigger", json={"a": 1})
        seen = (await ada.get(path)).json()
        deleted, gone = await ada.delete(path), await ada.get(path)

        statuses = [one.status_code for one in (paused, refused, tested, resumed, fired)]
        assert statuses == [200, 409, 200, 200, 200], key
        assert (seen["id"], seen["fire_count"]) == (made["id"], 1)
        assert (deleted.status_code, gone.status_code) == (204, 404)
        event = (await ada.get(fired.headers["location"])).json()
        assert (event["trigger_id"], event["payload"]) == (made["id"], {"a": 1})


async def test_a_row_that_loses_its_key_during_a_call_is_left_alone(
    service: Service, ada: httpx.AsyncClient
) -> None:
    verbs = {
        "triggers": ("", "/pause", "/resume"),
        "destinations": ("", "/disable", "/enable"),
    }
    trigger = await make_api(ada, key="moving")
    destination = await make_destination(ada, URL, key="moving")
    database = await connect(service.database_url)

    answers = []
    for table, paths in verbs.items():
        for path in paths:
            method, url = "POST" if path else "DELETE", f"/{table}/by-key/moving{path}"
            async with database.transaction():
                await database.execute(f"UPDATE {table} SET key = 'moved' WHERE key = 'moving'")
                request = asyncio.create_task(ada.request(method, url))
                await until_somebody_waits(database)
            answers.append(await request)
            await database.execute(f"UPDATE {table} SET key = 'moving' WHERE key = 'moved'")
    await database.close()

    for answer in answers:
        problem_of(answer, 404)
    assert (await ada.get("/triggers/by-key/moving")).json() == await read(ada, trigger["id"])
    left = (await ada.get("/destinations/by-key/moving")).json()
    assert left == {name: destination[name] for name in left}


async def test_a_put_replaces_what_gets_the_key_while_it_waits(
    service: Service, ada: httpx.AsyncClient
) -> None:
    bodies: dict[str, Any] = {"triggers": {"type": "api"}, "destinations": {"url": URL}}
    for key in ("former", "latter"):
        await make_api(ada, key=key)
        await make_destination(ada, URL, key=key)
    latter = {table: (await ada.get(f"/{table}/by-key/latter")).json()["id"] for table in bodies}
    database = await connect(service.database_url)

    answers = {}
    for table, body in bodies.items():
        async with database.transaction():
            await database.execute(f"UPDATE {table} SET key = NULL WHERE key = 'former'")
            await database.execute(f"UPDATE {table} SET key = 'former' WHERE key = 'latter'")
            request = asyncio.create_task(ada.put(f"/{table}/by-key/former", json=body))
            await until_somebody_waits(database)
        answers[table] = await request
    await database.close()

    assert {table: answer.status_code for table, answer in answers.items()} == {
        "triggers": 200,
        "destinations": 200,
    }
    assert {table: answer.json()["id"] for table, answer in answers.items()} == latter
