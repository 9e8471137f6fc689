"""Batches answered outside FastAPI get the answers of the described operation."""

import asyncio
import json
import re
import sys
from types import FrameType
from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from event_trigger.firing.batch.body import read_batch
from event_trigger.firing.batch.schemas import SentCalls
from tests.support.callers import callers_without_keys
from tests.support.destinations import list_deliveries, make_destination
from tests.support.keys import holding, make_key
from tests.support.locks import locked_trigger, until_somebody_waits
from tests.support.plain_statements import plain_statements
from tests.support.services import ADA, Service
from tests.support.triggers import make_api, read

PATH = "/triggers/trigger-batch"
JSON = {"content-type": "application/json"}
STORED = """
    SELECT trigger_id, owner_id, type, payload::text, is_test, replay_of, hops, source_kind,
        source::text
    FROM events WHERE shard = $1 AND trigger_id = ANY ($2) ORDER BY id
"""
DEEP, DEEPEST = ('{"a":' * levels + "1" + "}" * levels for levels in (62, 63))
CALLS = [
    '{"trigger":ID,"payload":{"order":42}}',
    '{ "trigger" : "KEY" ,\n"payload" : { "b" : 1.0e+2, "ü": "\\u2028" } }',
    '{"trigger":"KEY","payload":{},"idempotency_key":"k 1"}',
    '{"trigger":"KEY","payload":{} , "idempotency_key" : "k 1" }',
    '{"trigger":"KEY","payload":{"a":1},"idempotency_key":"k 1"}',
    '{"trigger":ID,"payload":{},"idempotency_key":""}',
    '{"trigger":ID,"payload":{},"idempotency_key":"\\u006b"}',
    '{"trigger":ID,"payload":{},"idempotency_key":"k\\u0000"}',
    '{"trigger":ID,"payload":{},"idempotency_key":"' + "k" * 256 + '"}',
    '{"trigger":ID,"payload":{"a":1,"a":2}}',
    '{"trigger":ID,"payload":{"a":NaN}}',
    '{"trigger":ID,"payload":{"a":1e999}}',
    '{"trigger":ID,"payload":{"a":"\\ud800"}}',
    '{"trigger":ID,"payload":{"a":"\\u0000"}}',
    '{"trigger":ID,"payload":{"a":"\\u00e9"}}',
    f'{{"trigger":ID,"payload":{DEEP}}}',
    f'{{"trigger":ID,"payload":{DEEPEST}}}',
    f'{{"trigger":ID,"payload":{{"a":{DEEPEST}}}}}',
    '{"trigger":ID,"payload":{"a":' + "[" * 100 + "]" * 100 + "}}",
    '{"trigger":ID,"payload":{"a":[' + "{}," * 100 + "{}]}}",
    '{"trigger":ID,"payload":{},"payload":{}}',
    '{"trigger":ID,"trigger":ID,"payload":{}}',
    '{"trigger":ID,"payload":{},"other":1}',
    '{"trigger":ID,"payload":[]}',
    '{"trigger":ID}',
    '{"payload":{},"trigger":ID}',
    '{"trigger":9223372036854775807,"payload":{}}',
    '{"trigger":9223372036854775808,"payload":{}}',
    '{"trigger":0,"payload":{}}',
    '{"trigger":"One","payload":{}}',
    '{"trigger":"' + "a" * 101 + '","payload":{}}',
    '{"trigger":"none","payload":{}}',
    '{"trigger":PAUSED,"payload":{}}',
    '{"trigger":STRICT,"payload":{"n":1}}',
    '{"trigger":STRICT,"payload":{"n":"x"}}',
    '{"trigger":PREDEFINED,"payload":{"b":null,"a":null}}',
    '{"trigger":PREDEFINED}',
    "5",
]
BODIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "no calls": {"content": b'{"calls":[]}', "headers": JSON},
    "too many calls": {
        "content": b'{"calls":[' + b",".join([b"{}"] * 1001) + b"]}",
        "headers": JSON,
    },
    "a list": {"content": b"[]", "headers": JSON},
    "half of it": {"content": b'{"calls":[{"trigger":1,"payload":{}}', "headers": JSON},
    "a call's half": {"content": b'{"calls":[{"trigger":1,"payload":{}', "headers": JSON},
    "a comma more": {"content": b'{"calls":[{"trigger":1,"payload":{}},]}', "headers": JSON},
    "no commas": {
        "content": b'{"calls":[{"trigger":1,"payload":{}}{"trigger":1,"payload":{}}]}',
        "headers": JSON,
    },
    "another field": {"content": b'{"calls":[5],"more":1}', "headers": JSON},
    "no UTF-8": {"content": b'{"calls":["\xff"]}', "headers": JSON},
    "no media type": {"content": b'{"calls":[5]}'},
    "a charset": {
        "content": b'{"calls":[5]}',
        "headers": {"content-type": "application/json; charset=utf-8"},
    },
    "a hop": {"json": {"calls": [5]}, "headers": {"x-event-trigger-hops": "3"}},
    "odd hops": {"json": {"calls": [5]}, "headers": {"x-event-trigger-hops": "x"}},
    "an empty key": {"json": {"calls": [5]}, "headers": {"idempotency-key": ""}},
}


def shown(answer: httpx.Response) -> tuple[Any, ...]:
    """Gives an answer without what differs between two calls: the ids of new events."""
    body = re.sub(r'"event_id":\d+', '"event_id":0', answer.text)
    headers = {**answer.headers}
    for varying in ("x-request-id", "content-length"):
        headers[varying] = "" if varying in headers else "none"
    return answer.status_code, body, headers


async def both(client: httpx.AsyncClient, **sent: Any) -> tuple[tuple[Any, ...], ...]:
    """Gives the plain answer and the described one."""
    return shown(await client.post(PATH, **sent)), shown(await client.post(f"{PATH}?&", **sent))


async def make_all(ada: httpx.AsyncClient, key: str) -> dict[str, Any]:
    """Makes a trigger for each name in CALLS, of which one has the key."""
    schema = {"schema": {"properties": {"n": {"type": "integer"}}}}
    made = {
        "ID": await make_api(ada, key=key),
        "PAUSED": await make_api(ada),
        "STRICT": await make_api(ada, details=schema),
        "PREDEFINED": await make_api(ada, payload={"a": 1}),
    }
    await ada.post(f"/triggers/{made['PAUSED']['id']}/pause")
    return {name: trigger["id"] for name, trigger in made.items()} | {"KEY": key}


async def test_every_call_of_a_batch_is_answered_and_stored_alike_in_both_ways(
    ada: httpx.AsyncClient, database: Any
) -> None:
    answers, stored, counts = [], [], []
    with plain_statements() as seen:
        for key, query in (("plain", ""), ("described", "?&")):
            made = await make_all(ada, key)
            body = f'{{"calls": [ {", ".join(CALLS)}]}}'
            for name, one in made.items():
                body = re.sub(rf"\b{name}\b", str(one), body)
            headers = {**JSON, "x-event-trigger-hops": "3"}
            answer = await ada.post(f"{PATH}{query}", content=body.encode(), headers=headers)
            answers.append(shown(answer))
            names = {one: name for name, one in made.items()}
            rows = await database.fetch(STORED, ADA, [*names][:-1])
            stored.append([(names[row[0]], *row[1:]) for row in rows])
            counts.append([(await read(ada, one))["fire_count"] for one in [*names][:-1]])

    assert answers[0] == answers[1]
    assert stored[0] == stored[1]
    assert sum("FOR NO KEY UPDATE" in one for one in seen) == 1
    results = json.loads(answers[0][1])["results"]
    refused = [one["problem"]["status"] for one in results if "problem" in one]
    assert sorted({*refused}) == [404, 409, 422]
    assert len(stored[0]) == 13
    assert counts == [[10, 0, 1, 2]] * 2


async def test_every_body_is_answered_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    answers = {name: await both(ada, **sent) for name, sent in BODIES.items()}

    assert [name for name, (plain, other) in answers.items() if plain != other] == []
    assert [name for name, one in answers.items() if one[0][0] == 200] == ["a charset", "a hop"]


@pytest.mark.parametrize("name", ["no calls", "half of it", "another field", "a list"])
async def test_a_body_that_is_no_batch_is_read_once(ada: httpx.AsyncClient, name: str) -> None:
    await ada.post(PATH, **BODIES[name])  # imports the operation
    reads = 0

    def count(frame: FrameType, event: str, _about: Any) -> None:
        nonlocal reads
        reads += event == "call" and frame.f_code is read_batch.__code__

    sys.setprofile(count)
    try:
        answer = await ada.post(PATH, **BODIES[name])
    finally:
        sys.setprofile(None)

    assert answer.status_code == 422
    assert reads == 1


async def test_every_caller_is_answered_alike_in_both_ways(
    service: Service, ada: httpx.AsyncClient
) -> None:
    trigger, other = await make_api(ada), await make_api(ada)
    calls = {"json": {"calls": [{"trigger": one["id"]} for one in (trigger, other)]}}
    callers = {
        **callers_without_keys(service, ada),
        "a key": holding(service, await make_key(ada)),
        "a key that reads": holding(service, await make_key(ada, "triggers:read")),
        "a key for another": holding(service, await make_key(ada, trigger_ids=[other["id"]])),
    }

    answers = {name: await both(client, **calls) for name, client in callers.items()}

    assert [name for name, (first, second) in answers.items() if first != second] == []
    statuses = [first[0] for first, _ in answers.values()]
    assert statuses == [200, 200, 200, 200, 422, 401, 200, 403, 200]
    assert (await read(ada, trigger["id"]))["fire_count"] == 6
    assert (await read(ada, other["id"]))["fire_count"] == 8


async def test_batches_are_delivered_and_told_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    made = await make_destination(ada, "https://example.invalid/")
    trigger = await make_api(ada, destinations=[made["id"]])
    calls = {"calls": [{"trigger": trigger["id"], "payload": {"n": n}} for n in range(3)]}

    told = []
    for query in ("", "?&"):
        with capture_logs([merge_contextvars]) as logged:
            await ada.post(f"{PATH}{query}", json=calls, headers={"x-request-id": "my-id"})
        told.append([{**one, "ms": 0} for one in logged if one["event"] == "request"])

    assert told[0] == told[1]
    assert len(told[0]) == 1
    assert len(await list_deliveries(ada)) == 6


async def test_a_crash_of_a_batch_is_answered_and_told_alike_in_both_ways(
    ada: httpx.AsyncClient, database: Any
) -> None:
    calls = {"calls": [{"trigger": (await make_api(ada))["id"]}]}
    await database.execute("ALTER TABLE triggers RENAME COLUMN payload TO gone")

    found = []
    for query in ("", "?&"):
        with capture_logs([merge_contextvars]) as logged:
            answer = await ada.post(f"{PATH}{query}", json=calls, headers={"x-request-id": "my-id"})
        events = [(one["event"], one["request_id"]) for one in logged if "request_id" in one]
        found.append((shown(answer), events))
    await database.execute("ALTER TABLE triggers RENAME COLUMN gone TO payload")

    assert found[0] == found[1]
    assert found[0][0][0] == 500
    assert found[0][1] == [("request_crashed", "my-id"), ("request", "my-id")]


async def test_a_caller_who_hangs_up_leaves_no_half_of_a_batch(
    ada: httpx.AsyncClient, service: Service, database: Any
) -> None:
    first, second = await make_api(ada), await make_api(ada)
    calls = {"calls": [{"trigger": first["id"]}, {"trigger": second["id"]}]}

    async with locked_trigger(service.database_url, second["id"]):
        firing = asyncio.create_task(ada.post(PATH, json=calls))
        await until_somebody_waits(database)
        firing.cancel()
        await asyncio.wait([firing])
    answer = await ada.post(PATH, json=calls)

    assert answer.status_code == 200
    counts = [(await read(ada, one["id"]))["fire_count"] for one in (first, second)]
    assert counts[0] == counts[1]


async def test_a_usual_call_is_read_as_any_other() -> None:
    """Both ways of reading calls find the same ones to be valid, with the same payloads."""
    made = {"KEY": "key", "ID": "7", "PAUSED": "8", "STRICT": "9", "PREDEFINED": "10"}
    usual = [re.sub("|".join(made), lambda found: made[found[0]], one) for one in CALLS]
    # a further member makes the pattern of usual calls fail
    other = [
        one if '_key"' in one or one == "5" else f'{one[:-1]},"idempotency_key":null}}'
        for one in usual
    ]

    def read_calls(calls: list[str]) -> Any:
        return read_batch(f'{{"calls":[{",".join(calls)}]}}'.encode())

    first, second = [await read_calls(calls) for calls in (usual, other)]

    assert isinstance(first["calls"], SentCalls)
    assert [*map(str, first["calls"])] == [*map(str, second["calls"])]
