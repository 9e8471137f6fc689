"""Replays answered outside FastAPI get the answers of the described operation."""

import asyncio
import json
from typing import Any

import httpx
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from tests.support.callers import callers_without_keys
from tests.support.destinations import list_deliveries, make_destination
from tests.support.keys import holding, make_key
from tests.support.plain_statements import plain_statements
from tests.support.reading import read_all
from tests.support.services import ADA, Service
from tests.support.triggers import make_api, read

NEW = {"id": 0, "triggered_at": "now"}
STORED = """
    SELECT trigger_id, type, payload::text, is_test, replay_of, hops, source_kind, source::text
    FROM events WHERE shard = $1 AND replay_of IS NOT NULL ORDER BY id
"""
SENT: dict[str, dict[str, Any]] = {
    "nothing": {},
    "a hop": {"headers": {"x-event-trigger-hops": "3"}},
    "hops with a zero": {"headers": {"x-event-trigger-hops": "03"}},
    "too many hops": {"headers": {"x-event-trigger-hops": "10"}},
    "odd hops": {"headers": {"x-event-trigger-hops": "x"}},
    "a body": {"json": {"n": 1}},
    "half a body": {"content": b"{", "headers": {"content-type": "application/json"}},
    "an empty key": {"headers": {"idempotency-key": ""}},
}
PLAIN = ["nothing", "a hop"]


def shown(answer: httpx.Response) -> tuple[Any, ...]:
    body = answer.json()
    if answer.status_code == 201:
        assert answer.headers["location"] == f"/events/{body['id']}"
        assert list(body)[:4] == ["id", "trigger_id", "type", "triggered_at"]
        body |= NEW
    headers = {**answer.headers}
    for varying in ("x-request-id", "location", "content-length"):
        headers[varying] = "" if varying in headers else "none"
    return answer.status_code, json.dumps(body), headers


async def fire(client: httpx.AsyncClient, trigger: dict[str, Any], way: str, **body: Any) -> str:
    fired = await client.post(f"/triggers/{trigger['id']}/{way}", json=body)
    assert fired.status_code == 200, fired.text
    return f"{fired.headers['location']}/replay"


async def both(
    client: httpx.AsyncClient, path: str, **sent: Any
) -> tuple[tuple[Any, ...], tuple[Any, ...], bool]:
    """Gives the plain answer and the described one, and whether the first was plain."""
    with plain_statements() as seen:
        plain = await client.post(path, **sent)
    is_plain = any("AS its_trigger" in one for one in seen)
    return shown(plain), shown(await client.post(f"{path}?&", **sent)), is_plain


async def test_every_replay_is_answered_alike_in_both_ways(
    ada: httpx.AsyncClient, database: Any
) -> None:
    path = await fire(ada, await make_api(ada, key="k", name="é"), "trigger", n=1.0, text="ü\u2028")

    answers = {name: await both(ada, path, **sent) for name, sent in SENT.items()}

    assert [name for name, (plain, other, _) in answers.items() if plain != other] == []
    made = [name for name, (plain, *_) in answers.items() if plain[0] == 201]
    assert made == ["nothing", "a hop", "hops with a zero", "a body", "half a body"]
    assert [n for n, one in answers.items() if one[2] and one[0][0] == 201] == PLAIN
    stored = [tuple(row) for row in await database.fetch(STORED, ADA)]
    assert len(stored) == 2 * len(made)
    assert stored[::2] == stored[1::2]
    assert {row[5] for row in stored} == {0, 3}


async def test_every_kind_of_trigger_is_replayed_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    schema = {"schema": {"properties": {"n": {"type": "integer"}}}}
    plain, paused, deleted, predefined = [
        await make_api(ada, **more) for more in ({}, {}, {}, {"payload": {"a": 1}})
    ]
    strict = await make_api(ada, details=schema)
    paths = {
        "a call": await fire(ada, plain, "trigger", n=1),
        "a test": await fire(ada, plain, "test", n=1),
        "paused": await fire(ada, paused, "trigger"),
        "deleted": await fire(ada, deleted, "trigger", n=1),
        "predefined": await fire(ada, predefined, "trigger", n=1),
        "strict": await fire(ada, strict, "trigger", n=1),
        "no event": "/events/999999/replay",
        "no id": f"/events/{2**63}/replay",
    }
    again = await ada.post(paths["a call"])
    paths["a replay"] = f"{again.headers['location']}/replay"
    await ada.post(f"/triggers/{paused['id']}/pause")
    await ada.delete(f"/triggers/{deleted['id']}")

    answers = {name: await both(ada, path) for name, path in paths.items()}

    assert [name for name, (first, other, _) in answers.items() if first != other] == []
    assert [name for name, one in answers.items() if one[0][0] != 201] == ["no event", "no id"]
    assert (await read(ada, plain["id"]))["fire_count"] == 1


async def test_every_caller_is_answered_alike_in_both_ways(
    service: Service, ada: httpx.AsyncClient
) -> None:
    trigger, other = await make_api(ada), await make_api(ada)
    path = await fire(ada, trigger, "trigger", n=1)
    callers = {
        **callers_without_keys(service, ada),
        "a key": holding(service, await make_key(ada)),
        "a key that fires": holding(service, await make_key(ada, "triggers:fire")),
        "a key that reads": holding(service, await make_key(ada, "events:read")),
        "a key for another": holding(service, await make_key(ada, trigger_ids=[other["id"]])),
        "a key for this one": holding(service, await make_key(ada, trigger_ids=[trigger["id"]])),
    }

    answers = {name: await both(client, path) for name, client in callers.items()}

    assert [name for name, (first, second, _) in answers.items() if first != second] == []
    statuses = [first[0] for first, *_ in answers.values()]
    assert statuses[:6] == [201, 404, 404, 201, 422, 401]
    assert statuses[6:] == [201, 403, 403, 404, 201]


async def test_a_replay_goes_to_the_destinations_of_today_in_both_ways(
    ada: httpx.AsyncClient,
) -> None:
    trigger = await make_api(ada)
    path = await fire(ada, trigger, "trigger", n=1)
    made = await make_destination(ada, "https://example.invalid/")
    changed = {"destinations": [made["id"]]}
    assert (await ada.patch(f"/triggers/{trigger['id']}", json=changed)).status_code == 200

    first, second, is_plain = await both(ada, path)

    assert first == second
    assert is_plain
    assert len(await list_deliveries(ada)) == 2


async def test_a_key_of_repeated_replays_works_as_before(ada: httpx.AsyncClient) -> None:
    path, key = await fire(ada, await make_api(ada), "trigger"), {"idempotency-key": "k"}

    first, again = [await ada.post(path, headers=key) for _ in range(2)]

    assert (first.status_code, again.status_code) == (201, 201)
    assert first.content == again.content
    assert again.headers["idempotent-replayed"] == "true"
    assert len(await read_all(ada, "/events")) == 2


async def test_replays_at_once_share_commits_with_calls(
    ada: httpx.AsyncClient, database: Any
) -> None:
    trigger = await make_api(ada)
    path = await fire(ada, trigger, "trigger", n=1)

    answers = await asyncio.gather(
        *(ada.post(path) for _ in range(20)),
        *(ada.post(f"/triggers/{trigger['id']}/trigger") for _ in range(20)),
    )

    assert [one.status_code for one in answers] == [201] * 20 + [200] * 20
    ids = {one.json()["id"] for one in answers[:20]}
    rows = await database.fetch("SELECT id, replay_of, xid FROM events")
    assert {row["id"] for row in rows if row["replay_of"] is not None} == ids
    assert len({row["xid"] for row in rows}) < len(rows)
    assert (await read(ada, trigger["id"]))["fire_count"] == 21


async def test_the_log_tells_of_replays_alike_in_both_ways(ada: httpx.AsyncClient) -> None:
    path = await fire(ada, await make_api(ada), "trigger")

    told = []
    for asked in (path, f"{path}?&"):
        with capture_logs([merge_contextvars]) as logged:
            await ada.post(asked, headers={"x-request-id": "my-id"})
        told.append([{**one, "ms": 0} for one in logged])

    assert told[0] == told[1]
    assert len(told[0]) == 1
