"""A batch fires many calls in one commit, and answers each of them by itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import chain
from typing import Any

import httpx
import pytest

from event_trigger.firing.allowance import MOST_CHARACTERS
from event_trigger.firing.batch.body import read_batch
from event_trigger.firing.batch.schemas import SentCall
from tests.support.destinations import make_destination
from tests.support.keys import holding, make_key
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.problems import places_of, problem_of
from tests.support.reading import read_all
from tests.support.receiver import ALLOW_LOOPBACK
from tests.support.services import ADA, Service, running_service
from tests.support.triggers import make_api, read

NOBODYS = 987_654_321
PROBLEM = "urn:event-trigger:problem:"


async def fire_all(client: httpx.AsyncClient, *calls: Any, **more: Any) -> list[dict[str, Any]]:
    answer = await client.post("/triggers/trigger-batch", json={"calls": calls}, **more)
    assert answer.status_code == 200, answer.text
    results: list[dict[str, Any]] = answer.json()["results"]
    assert len(results) == len(calls)
    return results


def kinds_of(results: list[dict[str, Any]]) -> list[Any]:
    """Gives the status of each problem, and None for an event."""
    return [one["problem"]["status"] if "problem" in one else None for one in results]


async def test_each_call_is_answered_in_its_place(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    plain, paused = await make_api(ada, payload={"a": 1}), await make_api(ada)
    checked = await make_api(ada, details={"schema": schema})
    foreign = await make_api(bob)
    await ada.post(f"/triggers/{paused['id']}/pause")

    results = await fire_all(
        ada,
        {"trigger": checked["id"], "payload": {"n": 1}},
        {"trigger": paused["id"]},
        {"trigger": plain["id"], "payload": {"b": None}},
        {"trigger": foreign["id"]},
        {"trigger": NOBODYS},
        {"trigger": checked["id"], "payload": {"n": "one"}},
        {"trigger": plain["id"], "payload": []},
        {"trigger": True},
        {"trigger": plain["id"], "other": 1},
        5,
        {"trigger": plain["id"], "payload": {"a": "\0"}},
        {"trigger": plain["id"], "payload": None},
    )

    assert kinds_of(results) == [None, 409, None, *[404] * 2, *[422] * 6, None]
    problems = [one["problem"] for one in results if "problem" in one]
    assert problems[1] == problems[2]  # another's trigger and none
    places = [one["errors"][0]["pointer"] for one in problems[3:]]
    assert places == [
        "#/calls/5/payload/n",
        "#/calls/6/payload",
        "#/calls/7/trigger",
        "#/calls/8/other",
        "#/calls/9",
        "#/calls/10",
    ]
    events = {one["id"]: one for one in await read_all(ada, "/events")}
    fired = [events[one["event_id"]] for one in results if "event_id" in one]
    assert [one["trigger_id"] for one in fired] == [checked["id"], plain["id"], plain["id"]]
    assert [one["payload"] for one in fired] == [{"n": 1}, {"a": 1, "b": None}, {"a": 1}]
    assert [one["id"] for one in fired] == sorted(events)
    assert (await read(ada, plain["id"]))["fire_count"] == 2


async def test_payloads_are_stored_as_they_were_written(
    ada: httpx.AsyncClient, database: Any
) -> None:
    made = await make_api(ada)
    payloads = ['{"z": 1.0e+3 ,"b":12345678901234567890123}', "{ }", '{"ü":[ null,1.50 ]}']
    spelt = [
        '{{"payload":{} ,"trigger":{}}}',
        '{{"trigger" : {1}, "payload" :\t{0}\r\n }}',
        '{{"p\\u0061yload":{}, "trigger":{}}}',
        '{{"trigger":{1}, "payload":{0}, "idempotency_key":null}}',
    ]
    payloads += ['{"payload": {"payload" :1e2}}', '{"p\\u0061yload":"}"}', "null"]
    payloads *= len(spelt)
    calls = [
        spelt[place // 6 % len(spelt)].format(one, made["id"]) for place, one in enumerate(payloads)
    ]
    body = f' {{ "calls" : [{" , ".join(calls)}\n] }} '

    answer = await ada.post(
        "/triggers/trigger-batch",
        content=body.encode(),
        headers={"content-type": "application/json"},
    )

    ids = [one["event_id"] for one in answer.json()["results"]]
    stored = await database.fetch("SELECT payload::text FROM events WHERE shard = 2 ORDER BY id")
    assert [one["payload"] or "null" for one in stored] == payloads
    assert ids == sorted(ids)


async def test_a_key_of_a_call_fires_once_in_a_batch_and_later(ada: httpx.AsyncClient) -> None:
    made, other = await make_api(ada), await make_api(ada)
    call = {"trigger": made["id"], "payload": {"a": 1}, "idempotency_key": "k"}
    changed = {**call, "payload": {"a": 2}}

    first = await fire_all(ada, call, call, changed, {**call, "trigger": other["id"]})
    again = await fire_all(ada, changed, call)
    alone = await ada.post(
        f"/triggers/{made['id']}/trigger", json={"a": 1}, headers={"idempotency-key": "k"}
    )

    event = first[0]
    assert first[1] == event
    assert first[2]["problem"]["type"] == f"{PROBLEM}idempotency-key-reused"
    assert first[3]["event_id"] != event["event_id"]
    assert kinds_of(again) == [422, None]
    assert again[1] == event
    assert alone.headers["location"] == f"/events/{event['event_id']}"
    assert len(await read_all(ada, "/events")) == 2


async def test_triggers_are_named_by_key_and_seen_as_the_credential_sees_them(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, service: Service, database: Any
) -> None:
    named, foreign, hidden = await make_api(ada), await make_api(bob), await make_api(ada)
    await database.execute("UPDATE triggers SET key = 'a.key' WHERE id = $1", named["id"])
    await database.execute("UPDATE triggers SET key = 'theirs' WHERE id = $1", foreign["id"])
    limited = holding(service, await make_key(ada, "triggers:fire", trigger_ids=[named["id"]]))
    reader = holding(service, await make_key(ada, "triggers:read"))
    calls = [{"trigger": one} for one in ("a.key", "no.key", "theirs", hidden["id"], named["id"])]

    by_ada, by_limited = await fire_all(ada, *calls), await fire_all(limited, *calls)
    refused = await reader.post("/triggers/trigger-batch", json={"calls": calls})

    assert kinds_of(by_ada) == [None, 404, 404, None, None]
    assert kinds_of(by_limited) == [None, 404, 404, 404, None]
    assert problem_of(refused, 403)["type"] == f"{PROBLEM}missing-scope"


async def test_a_body_that_is_no_batch_is_refused_as_a_whole(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)
    call = f'{{"trigger":{made["id"]}}}'
    bodies = {
        f'{{"calls":[{call}}}': "#",
        f'{{"calls":[{call},]}}': "#",
        f'{{"calls":[{call}]}} x': "#",
        f'{{"calls":[{call}],"calls":[]}}': "#",
        f'{{"calls":[{{"trigger":{made["id"]} "payload":1}}]}}': "#",
        "[]": "#",
        "{}": "#/calls",
        '{"calls":[]}': "#/calls",
        '{"calls":{}}': "#/calls",
        f'{{"calls":[{call}],"other":1}}': "#/other",
        f'{{"calls":[{",".join([call] * 1001)}]}}': "#/calls",
    }

    places = {
        body: places_of(
            await ada.post(
                "/triggers/trigger-batch",
                content=body.encode(),
                headers={"content-type": "application/json"},
            )
        )
        for body in bodies
    }

    assert places == {body: [place] for body, place in bodies.items()}
    assert await read_all(ada, "/events") == []


async def test_payloads_that_are_too_large_together_are_left_to_another_batch(
    ada: httpx.AsyncClient, database: Any
) -> None:
    large = [(await make_api(ada))["id"] for _ in range(10)]
    await database.execute(
        "UPDATE triggers"
        " SET payload = json_object(ARRAY['a', repeat('x', 1000000), 'id', id::text])"
    )
    small = await make_api(ada, payload={"a": 1})
    sizes = dict(await database.fetch("SELECT id, octet_length(payload::text) FROM triggers"))
    fitting = MOST_CHARACTERS // max(sizes.values())

    results = await fire_all(ada, *[{"trigger": one} for one in [*large, small["id"], *large]])

    by_trigger = [*chain.from_iterable(zip(results, results[11:], strict=False))]
    assert kinds_of(by_trigger) == [None] * fitting + [413] * (20 - fitting)
    assert by_trigger[-1]["problem"]["type"] == f"{PROBLEM}batch-too-large"
    assert kinds_of(results[10:11]) == [None]
    stored = await database.fetch(
        "SELECT trigger_id, payload ->> 'id' AS id, octet_length(payload::text) AS size"
        " FROM events WHERE trigger_id <> $1",
        small["id"],
    )
    assert {(one["trigger_id"], one["size"]) for one in stored} == {
        (one, sizes[one]) for one in large[: fitting // 2]
    }
    assert all(one["id"] == str(one["trigger_id"]) for one in stored)


async def test_two_batches_of_a_user_run_at_once_beside_other_questions(
    ada: httpx.AsyncClient, service: Service, database: Any
) -> None:
    first, second = await make_api(ada), await make_api(ada)

    async with locked_trigger(service.database_url, first["id"]):
        waiting = [asyncio.create_task(fire_all(ada, {"trigger": first["id"]})) for _ in range(2)]
        await until_somebody_waits(database, 2)
        third = await ada.post(
            "/triggers/trigger-batch", json={"calls": [{"trigger": second["id"]}]}
        )
        answer = await ada.get("/stats", params={"measure": "events"})
    results = await asyncio.gather(*waiting)

    assert problem_of(third, 429)["type"] == f"{PROBLEM}too-many-questions"
    assert answer.status_code == 200
    assert [kinds_of(one) for one in results] == [[None], [None]]


async def test_a_loop_is_refused_in_each_place(ada: httpx.AsyncClient) -> None:
    made = await make_api(ada)

    results = await fire_all(ada, {"trigger": made["id"]}, headers={"x-event-trigger-hops": "10"})

    assert kinds_of(results) == [508]
    assert (await read(ada, made["id"]))["warnings"]


async def test_a_batch_is_one_commit_that_waits_for_locked_triggers(
    ada: httpx.AsyncClient, service: Service
) -> None:
    first, second = await make_api(ada), await make_api(ada)

    async with locked_trigger(service.database_url, second["id"]) as holder:
        calls = [{"trigger": first["id"]}, {"trigger": second["id"]}]
        firing = asyncio.create_task(fire_all(ada, *calls))
        await until_somebody_waits(holder)
        before = await read_all(ada, "/events")
    results = await firing

    assert before == []
    assert kinds_of(results) == [None, None]


@pytest.fixture
async def limited(database_url: str) -> AsyncIterator[Service]:
    rates = {"fire_rate_per_key": "5/hour", "fire_rate_per_trigger": "2/hour", **ALLOW_LOOPBACK}
    async with running_service(database_url, **rates) as running:
        yield running


async def test_rate_limits_count_each_call_and_deliveries_are_made(limited: Service) -> None:
    ada = limited.client(ADA)
    destination = await make_destination(ada, "http://127.0.0.1:9/hook")
    first = await make_api(ada, destinations=[destination["id"]])
    second = await make_api(ada)

    results = await fire_all(ada, *[{"trigger": first["id"]}] * 3, *[{"trigger": second["id"]}] * 3)

    assert kinds_of(results) == [None, None, 429, None, None, 429]
    assert 0 < results[2]["problem"]["retry_after"] <= 3600
    assert len(await read_all(ada, "/deliveries")) == 2


async def test_reading_a_large_batch_gives_way_to_other_work() -> None:
    body = json.dumps({"calls": [{"trigger": 1, "payload": {"a": ["x"] * 200}}] * 1000}).encode()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    calls = (await read_batch(body))["calls"]
    counting.cancel()

    assert len(calls) == 1000
    assert all(isinstance(one, SentCall) for one in calls)
    assert turns > 40
