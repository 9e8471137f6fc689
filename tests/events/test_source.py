"""Each event says who or what made it, by every door, and is selected by that."""

import csv
import io
import json
from typing import Any

import httpx
import pytest

from event_trigger.events.source import EventSource, SourceKind
from tests.support.keys import holding, make_key
from tests.support.reading import read_all
from tests.support.services import ADA, ADMIN, Service, from_address, token_of
from tests.support.streams import following, listening
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

LOGIN = {"kind": "login", "user_id": ADA, "address": "192.0.2.7"}


@pytest.fixture
def ada(service: Service) -> httpx.AsyncClient:
    client = from_address(service, "192.0.2.7")
    client.headers["Authorization"] = f"Bearer {token_of(ADA)}"
    return client


async def post(client: httpx.AsyncClient, path: str, **sent: Any) -> httpx.Response:
    answer = await client.post(path, **sent)
    assert answer.is_success, answer.text
    return answer


async def sources(client: httpx.AsyncClient, **filters: Any) -> list[Any]:
    """Gives the sources of events, oldest first."""
    return [one["source"] for one in (await read_all(client, "/events", **filters))[::-1]]


async def plant(database: Any, trigger_id: int, *, count: int = 1, **values: str) -> None:
    """Inserts events, with further columns than a trigger and the kind of a call."""
    columns = {"type": "api", **values}
    selected = ", ".join(f"${place}" for place, _ in enumerate(columns, 4))
    await database.execute(
        f"INSERT INTO events (shard, owner_id, trigger_id, is_test, {', '.join(columns)})"
        f" SELECT $1::bigint % 64, $1, $2, false, {selected} FROM generate_series(1, $3)",
        ADA,
        trigger_id,
        count,
        *columns.values(),
    )


async def test_each_door_says_who_called(service: Service, ada: httpx.AsyncClient) -> None:
    trigger = await make_api(ada, key="deploy")
    key = await make_key(ada)
    path, them = f"/triggers/{trigger['id']}", {"ids": [trigger["id"]]}

    for client in (ada, holding(service, key)):
        await post(client, f"{path}/trigger")
        await post(client, f"{path}/trigger", headers={"Transfer-Encoding": "chunked"})
        await post(client, f"{path}/test")
        await post(client, "/triggers/by-key/deploy/trigger", json={})
        await post(client, "/triggers/by-key/deploy/test", headers={"Transfer-Encoding": "chunked"})
        await post(client, "/triggers/trigger-batch", json={"calls": [{"trigger": "deploy"}]})
        await post(client, "/triggers/actions", json={"action": "fire", **them})
        await post(client, "/triggers/actions", json={"action": "test", **them})

    by_key = {"kind": "api_key", "user_id": ADA, "key_id": key["id"], "address": "127.0.0.1"}
    assert await sources(ada) == [LOGIN] * 8 + [by_key] * 8


async def test_a_replay_names_its_caller_and_an_old_call_has_no_source(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    await make_scheduled(ada, {"interval": "PT1S"})
    planned = await eventually(lambda: sources(ada), bool)
    first = (await read_all(ada, "/events"))[-1]["id"]
    key = await make_key(ada)

    by_login = (await post(ada, f"/events/{first}/replay")).json()
    by_key = (await post(holding(service, key), f"/events/{by_login['id']}/replay")).json()

    assert planned == [{"kind": "schedule"}]
    assert by_login["source"] == {**LOGIN, "kind": "replay"}
    assert by_key["source"] == {
        "kind": "replay",
        "user_id": ADA,
        "key_id": key["id"],
        "address": "127.0.0.1",
    }
    await database.execute("UPDATE events SET source = NULL, source_kind = NULL")
    assert (await ada.get(f"/events/{by_key['id']}")).json()["source"] is None
    assert (await ada.get(f"/events/{first}")).json()["source"] == {"kind": "schedule"}


async def test_every_reader_selects_by_source(
    service: Service, ada: httpx.AsyncClient, database: Any
) -> None:
    one, other = await make_api(ada), await make_api(ada)
    keyed = holding(service, await make_key(ada))
    overseer = service.client(ADMIN, project="*")
    for trigger in (one, other):
        await post(ada, f"/triggers/{trigger['id']}/test")
        await post(keyed, f"/triggers/{trigger['id']}/trigger")
    await plant(database, one["id"], type="scheduled")
    await plant(database, one["id"])  # by a version that stored no source

    [*_, oldest] = await read_all(ada, "/events")
    after = {"after": oldest["id"], "source": "api_key"}
    async with listening(service) as url, following(url, ADA, **after) as stream:
        streamed = await stream.read(2)
    found = {}
    for kind in SourceKind:
        wanted = {"source": kind}
        found[kind] = await read_all(ada, "/events", **wanted)
        for narrowed in ({}, {"trigger_id": one["id"]}, {"is_test": True}, {"type": "api"}):
            expected = [each for each in found[kind] if narrowed.items() <= each.items()]
            query = {**wanted, **narrowed}
            counts = [
                await client.get("/events/counts", params=query) for client in (ada, overseer)
            ]
            exported = await ada.get("/events/export", params=query)

            assert await read_all(ada, "/events", **query) == expected
            assert await read_all(overseer, "/events", **query) == expected
            for answer in counts:
                assert sum(row["count"] for row in answer.json()) == len(expected)
            assert [json.loads(line) for line in exported.text.splitlines()] == expected

    assert {kind: [each["trigger_id"] for each in rows] for kind, rows in found.items()} == {
        "schedule": [one["id"]],
        "login": [other["id"], one["id"]],
        "api_key": [other["id"], one["id"]],
        "hook": [],
        "replay": [],
    }
    assert streamed == found[SourceKind.API_KEY][::-1]
    exported = await ada.get("/events/export", params={"format": "csv", "source": "schedule"})
    [row] = csv.DictReader(io.StringIO(exported.text, newline=""))
    assert row["source"] == '{"kind": "schedule"}'
    assert (await ada.get("/events", params={"source": "nobody"})).status_code == 422


@pytest.mark.parametrize(
    "more",
    [
        {},
        {
            "headers": {
                "content-type": 'a"\\b',
                "x-topic": "\x7f\x01é\N{GRINNING FACE}",
                "x-empty": "",
            }
        },
    ],
)
def test_the_fields_that_are_set_are_written_as_json_in_their_order(more: dict[str, Any]) -> None:
    fields = {"kind": SourceKind.HOOK, "address": "::1", "method": "PUT", "query": 'a="é', **more}

    written = EventSource(**fields).as_json()

    assert written == json.dumps(fields)


async def test_large_sources_make_a_page_shorter(ada: httpx.AsyncClient, database: Any) -> None:
    trigger = await make_api(ada)
    source = EventSource(SourceKind.HOOK, method="POST", headers={"x-topic": "a" * 50_000})
    values = {"source_kind": source.kind, "source": source.as_json()}
    await plant(database, trigger["id"], count=100, **values)

    page = (await ada.get("/events", params={"view": "summary"})).json()
    all_of_them = await sources(ada, view="summary")

    assert 1 < len(page) < 100
    assert all_of_them == [{"kind": "hook", "method": "POST", "headers": source.headers}] * 100
