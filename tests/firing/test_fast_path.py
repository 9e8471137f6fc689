"""Calls answered below FastAPI's routing get the answers of the described operation."""

from typing import Any

import httpx
import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from event_trigger.firing.named_triggers import NamedTriggers
from event_trigger.web.dependencies import state_of
from tests.support.callers import callers_without_keys
from tests.support.keys import holding, make_key
from tests.support.services import ADA, ADMIN, Service, running_service
from tests.support.triggers import change, make_api, read

JSON = {"content-type": "application/json"}
CALLS: dict[str, dict[str, Any]] = {
    "nothing": {},
    "an object": {"content": b'{"n": 1}', "headers": JSON},
    "an empty object": {"content": b"{}", "headers": JSON},
    "a charset": {"content": b"{}", "headers": {"content-type": "application/json; charset=utf-8"}},
    "another JSON": {"content": b"{}", "headers": {"content-type": "application/cloudevents+json"}},
    "no JSON": {"content": b"{}", "headers": {"content-type": "text/plain"}},
    "no media type": {"content": b"{}"},
    "null": {"content": b"null", "headers": JSON},
    "an array": {"content": b"[1]", "headers": JSON},
    "half of it": {"content": b'{"n":', "headers": JSON},
    "a name twice": {"content": b'{"n": 1, "n": 2}', "headers": JSON},
    "too deep": {"content": b'{"n":' * 70 + b"1" + b"}" * 70, "headers": JSON},
    "against the schema": {"content": b'{"n": "x"}', "headers": JSON},
    "a key": {"headers": {"idempotency-key": "k"}},
    "the key again": {"headers": {"idempotency-key": "k"}},
    "the key with another body": {"content": b"{}", "headers": {**JSON, "idempotency-key": "k"}},
    "an empty key": {"headers": {"idempotency-key": ""}},
    "a long key": {"headers": {"idempotency-key": "k" * 256}},
    "a key beyond ASCII": {"headers": {"idempotency-key": "schlüssel".encode()}},
    "a hop": {"headers": {"x-event-trigger-hops": "3"}},
    "too many hops": {"headers": {"x-event-trigger-hops": "10"}},
    "odd hops": {"headers": {"x-event-trigger-hops": "x"}},
    "too large": {"content": b'{"n":"' + b"x" * 1_100_000 + b'"}', "headers": JSON},
}
"""In this order; a call with a query, though it has no parameter, takes the described way."""


def shown(answer: httpx.Response) -> tuple[Any, ...]:
    headers = {**answer.headers}
    for varying in ("x-request-id", "location", "event-id"):
        headers[varying] = "" if varying in headers else "none"
    return answer.status_code, answer.content, headers


@pytest.mark.parametrize(("way", "counted"), [("trigger", 9), ("test", 0)])
async def test_every_call_is_answered_alike_in_both_ways(
    ada: httpx.AsyncClient, way: str, counted: int
) -> None:
    details = {"schema": {"properties": {"n": {"type": "integer"}}}}
    plain, described = [await make_api(ada, details=details) for _ in range(2)]
    named = [await make_api(ada, details=details, key=key) for key in ("plain", "described")]
    paths = [
        f"/triggers/{plain['id']}/{way}",
        f"/triggers/{described['id']}/{way}?&",
        f"/triggers/by-key/plain/{way}",
        f"/triggers/by-key/described/{way}?&",
    ]

    answers = {
        name: [shown(await ada.post(path, **sent)) for path in paths]
        for name, sent in CALLS.items()
    }

    assert [name for name, each in answers.items() if each != [each[0]] * 4] == []
    statuses = {name: each[0][0] for name, each in answers.items()}
    assert [name for name, status in statuses.items() if status == 200] == [
        "nothing",
        "an object",
        "an empty object",
        "a charset",
        "another JSON",
        "null",
        "a key",
        "the key again",
        "a key beyond ASCII",
        "a hop",
    ]
    counts = [(await read(ada, one["id"]))["fire_count"] for one in (plain, described, *named)]
    assert counts == [counted] * 4


@pytest.mark.parametrize(("way", "counted"), [("trigger", 16), ("test", 0)])
async def test_every_caller_is_answered_alike_in_both_ways(
    service: Service, ada: httpx.AsyncClient, way: str, counted: int
) -> None:
    trigger, other = await make_api(ada, key="one"), await make_api(ada)
    path, by_key = f"/triggers/{trigger['id']}/{way}", f"/triggers/by-key/one/{way}"
    callers = {
        **callers_without_keys(service, ada),
        "a key": holding(service, await make_key(ada)),
        "a key that reads": holding(service, await make_key(ada, "triggers:read")),
        "a key for another": holding(service, await make_key(ada, trigger_ids=[other["id"]])),
        "a key for this one": holding(service, await make_key(ada, trigger_ids=[trigger["id"]])),
    }

    answers = {
        name: [
            shown(await client.post(each)) for each in (path, f"{path}?&", by_key, f"{by_key}?&")
        ]
        for name, client in callers.items()
    }

    assert [name for name, each in answers.items() if each != [each[0]] * 4] == []
    statuses = [each[0][0] for each in answers.values()]
    assert statuses == [200, 404, 404, 200, 422, 401, 200, 403, 404, 200]
    assert (await read(ada, trigger["id"]))["fire_count"] == counted


async def test_an_admin_is_answered_alike_for_triggers_of_any_owner(
    service: Service, ada: httpx.AsyncClient
) -> None:
    admin = service.client(ADMIN, project=ADA)
    own, hers = await make_api(service.client(ADMIN)), await make_api(ada)
    gone = await make_api(ada)
    assert (await admin.post(f"/triggers/{gone['id']}/trigger")).status_code == 200
    assert (await ada.delete(f"/triggers/{gone['id']}")).status_code == 204

    answers = {
        (name, query): shown(await admin.post(f"/triggers/{one['id']}/trigger{query}"))
        for name, one in {
            "own": own,
            "another's": hers,
            "deleted": gone,
            "unknown": {"id": 2**62},
        }.items()
        for query in ("", "?&")
    }

    assert [answers[name, ""] == answers[name, "?&"] for name, _ in answers] == [True] * 8
    assert [answers[name, ""][0] for name in ("own", "another's", "deleted", "unknown")] == [
        404,
        200,
        404,
        404,
    ]
    assert (await read(ada, hers["id"]))["fire_count"] == 2


async def test_a_key_that_moved_fires_the_trigger_that_has_it_now(
    service: Service, ada: httpx.AsyncClient
) -> None:
    first, second = await make_api(ada, key="moving"), await make_api(ada)
    limited = holding(service, await make_key(ada, trigger_ids=[first["id"]]))
    ids = (first["id"], second["id"])

    async def call(client: httpx.AsyncClient = ada, way: str = "trigger") -> int:
        return (await client.post(f"/triggers/by-key/moving/{way}")).status_code

    before = await call(), await call(limited)
    await change(ada, first["id"], {"key": "away"})
    between = await call(), await call(way="test"), await call(limited)
    await change(ada, second["id"], {"key": "moving"})
    after = await call(), await call(way="test"), await call(limited)
    counts = [(await read(ada, one))["fire_count"] for one in ids]
    await ada.delete(f"/triggers/{second['id']}")
    deleted = await call()
    again = await make_api(ada, key="moving")
    made_again = await call(), (await read(ada, again["id"]))["fire_count"]

    assert (before, between, after) == ((200, 200), (404, 404, 404), (200, 200, 404))
    assert counts == [2, 1]
    assert (deleted, made_again) == (404, (200, 1))


async def test_only_some_keys_are_remembered(service: Service, ada: httpx.AsyncClient) -> None:
    named = NamedTriggers(state_of(service.app).sessions, most=2)
    ids = {key: (await make_api(ada, key=key))["id"] for key in ("a", "b", "c")}

    found = {key: await named.find(ADA, key) for key in ("a", "b", "a", "c", "none")}
    for trigger_id in ids.values():
        await change(ada, trigger_id, {"key": None})
    remembered = {key: await named.find(ADA, key) for key in ids}

    assert found == {**ids, "none": None}
    assert remembered == {**ids, "b": None}


async def test_the_log_tells_of_calls_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    path, sent = f"/triggers/{(await make_api(ada))['id']}/trigger", {"x-request-id": "my-id"}
    paused = (await make_api(ada))["id"]
    await ada.post(f"/triggers/{paused}/pause")

    told = {}
    for called in (path, f"/triggers/{paused}/trigger", "/triggers/999/trigger"):
        for query in ("", "?&"):
            with capture_logs([merge_contextvars]) as logged:
                answer = await ada.post(f"{called}{query}", headers=sent)
            assert answer.headers["x-request-id"] == "my-id"
            [told[called, query]] = [
                {**one, "ms": 0} for one in logged if one["event"] == "request"
            ]

    assert [told[called, ""] == told[called, "?&"] for called, _ in told] == [True] * 6
    assert [one["status"] for one in told.values()] == [200, 200, 409, 409, 404, 404]
    assert {one["request_id"] for one in told.values()} == {"my-id"}


async def test_a_crash_is_answered_and_told_alike_in_both_ways(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await make_api(ada)
    await database.execute("ALTER TABLE triggers RENAME COLUMN payload TO gone")

    found = {}
    for query in ("", "?&"):
        with capture_logs([merge_contextvars]) as logged:
            answer = await ada.post(
                f"/triggers/{trigger['id']}/trigger{query}", headers={"x-request-id": "my-id"}
            )
        events = [(one["event"], one["request_id"]) for one in logged if "request_id" in one]
        found[query] = (shown(answer), events)

    assert found[""] == found["?&"]
    assert found[""][0][0] == 500
    assert found[""][1] == [("request_crashed", "my-id"), ("request", "my-id")]
    await database.execute("ALTER TABLE triggers RENAME COLUMN gone TO payload")


async def test_calls_are_answered_alike_where_the_middleware_comes_first(
    database_url: str,
) -> None:
    async with running_service(
        database_url, trusted_hosts=("service.test",), cors_origins=("https://page.test",)
    ) as service:
        ada = service.client(ADA)
        path = f"/triggers/{(await make_api(ada))['id']}/trigger"
        page, other = {"origin": "https://page.test"}, {"host": "evil.test"}
        answers = {
            name: [shown(await ada.post(f"{path}{query}", headers=sent)) for query in ("", "?&")]
            for name, sent in {"plain": {}, "from a page": page, "elsewhere": other}.items()
        }

        assert [name for name, each in answers.items() if each[0] != each[1]] == []
        assert [each[0][0] for each in answers.values()] == [200, 200, 400]
        assert answers["from a page"][0][2]["access-control-allow-origin"] == "https://page.test"
        assert (await read(ada, int(path.split("/")[2])))["fire_count"] == 4
