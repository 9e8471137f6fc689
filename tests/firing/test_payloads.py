"""Payloads are stored, delivered and repeated as sent: nulls, numbers and spelling included."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.support.destinations import make_destination, until_finished
from tests.support.hooks import make_hook
from tests.support.problems import places_of
from tests.support.receiver import ALLOW_LOOPBACK, receiving
from tests.support.services import ADA, running_service

SENT = {
    "ref": "refs/heads/x",
    "base_ref": None,
    "head": {"repo": None, "labels": [None, {"description": None}], "stars": 0},
    "milestone": {"due_on": None},
}
SPELT = (
    b' {"b": 1e2, "a":1.10,\n"n": 123456789012345678901234567890, "z": -0, "none":null,'
    b' "p": 0.12345678901234567890, "s": "\\u00fc\xc3\xbc\\/", "t": {"x" :[null ]}}'
)
JSON = {"content-type": "application/json"}

Fire = Callable[[httpx.AsyncClient, int, str | None, bytes], Awaitable[httpx.Response]]


async def by_call(
    client: httpx.AsyncClient, trigger_id: int, _: str | None, body: bytes
) -> httpx.Response:
    return await client.post(f"/triggers/{trigger_id}/trigger", content=body, headers=JSON)


async def by_described_call(
    client: httpx.AsyncClient, trigger_id: int, _: str | None, body: bytes
) -> httpx.Response:
    media_type = {"content-type": "application/json; charset=utf-8"}
    return await client.post(f"/triggers/{trigger_id}/trigger", content=body, headers=media_type)


async def by_test(
    client: httpx.AsyncClient, trigger_id: int, _: str | None, body: bytes
) -> httpx.Response:
    return await client.post(f"/triggers/{trigger_id}/test", content=body, headers=JSON)


async def by_hook(
    client: httpx.AsyncClient, _: int, hook_url: str | None, body: bytes
) -> httpx.Response:
    assert hook_url is not None
    return await client.post(hook_url, content=body)


WAYS = (by_call, by_described_call, by_test, by_hook)


async def payload_of(client: httpx.AsyncClient, answer: httpx.Response) -> Any:
    assert answer.status_code in {200, 201}, answer.text
    return (await client.get(answer.headers["location"])).json()["payload"]


@pytest.mark.parametrize("fire", WAYS)
async def test_without_a_predefined_payload_it_is_the_body_nulls_included(
    ada: httpx.AsyncClient, fire: Fire
) -> None:
    required = {"required": ["base_ref"], "properties": {"base_ref": {"type": "null"}}}
    hook = await make_hook(ada, "none", details={"schema": required})

    fired = await fire(ada, hook.trigger_id, hook.url, json.dumps(SENT).encode())
    replayed = await ada.post(fired.headers["location"] + "/replay")

    for answer in (fired, replayed):
        payload = await payload_of(ada, answer)
        assert json.dumps(payload) == json.dumps(SENT)


@pytest.mark.parametrize("fire", WAYS)
async def test_with_a_predefined_payload_a_null_removes_only_its_own_members(
    ada: httpx.AsyncClient, fire: Fire
) -> None:
    predefined = {"ref": "main", "base_ref": "main", "head": {"stars": 5, "repo": {"id": 1}}}
    hook = await make_hook(ada, "none", payload=predefined)

    fired = await fire(ada, hook.trigger_id, hook.url, json.dumps(SENT).encode())
    emptied = await fire(ada, hook.trigger_id, hook.url, b"{}")

    head = {"stars": 0, "labels": SENT["head"]["labels"]}  # type: ignore[index]
    expected = {"ref": SENT["ref"], "head": head, "milestone": SENT["milestone"]}
    assert await payload_of(ada, fired) == expected
    assert await payload_of(ada, emptied) == predefined


async def test_the_schema_sees_the_merged_payload_with_its_nulls(ada: httpx.AsyncClient) -> None:
    schema = {"properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}}
    hook = await make_hook(ada, "none", payload={"a": 1}, details={"schema": schema})

    removed = await by_hook(ada, 0, hook.url, b'{"a": null}')
    kept = await by_hook(ada, 0, hook.url, b'{"b": null}')

    assert await payload_of(ada, removed) == {}
    assert places_of(kept) == ["#/b"]


async def test_a_change_of_the_predefined_payload_is_rfc_7396_still(
    ada: httpx.AsyncClient,
) -> None:
    hook = await make_hook(ada, "none", payload={"a": 1, "n": None})
    path = f"/triggers/{hook.trigger_id}"

    changed = await ada.patch(path, json={"payload": {"a": None, "b": None, "c": {"d": None}}})

    assert changed.json()["payload"] == {"n": None, "c": {}}


@pytest.mark.parametrize("fire", WAYS)
async def test_a_body_is_stored_delivered_and_repeated_as_it_is_spelt(
    database_url: str, database: Any, fire: Fire
) -> None:
    async with (
        receiving() as receiver,
        running_service(database_url, **ALLOW_LOOPBACK) as service,
    ):
        ada = service.client(ADA)
        made = await make_destination(ada, receiver.url)
        hook = await make_hook(ada, "none", destinations=[made["id"]])

        fired = await fire(ada, hook.trigger_id, hook.url, SPELT)
        await ada.post(fired.headers["location"] + "/replay")
        await until_finished(ada, 2)

    stored = await database.fetch("SELECT payload FROM events")
    assert [row["payload"].encode() for row in stored] == [SPELT, SPELT]
    assert all(one.body.endswith(b'"data":' + SPELT + b"}") for one in receiver.received)
    assert len(receiver.received) == 2


async def test_the_same_value_in_another_spelling_is_the_same_call(ada: httpx.AsyncClient) -> None:
    hook = await make_hook(ada, "none")
    path = f"/triggers/{hook.trigger_id}/trigger"
    headers = {**JSON, "idempotency-key": "k"}

    first = await ada.post(path, content=b'{"a": null, "b": 1.0}', headers=headers)
    again = await ada.post(path, content=b'{"b":1.00,"a":null}', headers=headers)
    another = await ada.post(path, content=b'{"b": 1.0}', headers=headers)

    assert first.headers["location"] == again.headers["location"]
    assert another.status_code == 422
