"""Lists and plain reads are written as bytes, as models of the same triggers are."""

import json
from typing import Any

import httpx
from pydantic import TypeAdapter

from event_trigger.triggers.schemas.responses import TriggerListed
from tests.support.destinations import make_destination
from tests.support.keys import holding, make_key
from tests.support.senders import SENDERS
from tests.support.services import Service
from tests.support.triggers import make_api, make_scheduled
from tests.triggers.test_kinds import KINDS

LISTED: TypeAdapter[list[TriggerListed]] = TypeAdapter(list[TriggerListed])
ODD_NAMES = ('"\\/', "\x01\x1f\x7f\x85\u2028\u2029", "e\u0301 ß 𝄞", "</script>", " \t\r\n\b\f")
ODD_PAYLOADS = (
    '{"a":1.0,"b":1e2,"c":-0.0,"e":0.1,"f":12345678901234567890123,"g":1.5E-300}',
    '{"ü":"é\u2028","n":null,"l":[1,"x",[]],"o":{"t":true,"f":false}, "e":"\\u00e9\\/\\t"}',
    "{}",
    json.dumps({"long": "x" * 2_000, "z": 1, "a": 2}),
)
SCHEMA = {"type": "object", "properties": {"é": {"type": ["string", "null"]}}}
SORTS = ("-id", "id", "name", "-next_fire_at", "last_fired_at")


async def make_every_kind(client: httpx.AsyncClient, database: Any) -> None:
    """Makes triggers of each kind, in each status, with odd texts, and with warnings."""
    target = (await make_destination(client, "https://example.com/"))["id"]
    for key, details in KINDS.items():
        await make_scheduled(client, details, key=key, destinations=[target])
    for sender in SENDERS.values():
        await make_api(client, details={"hook": dict(sender.hook)})
    for name in ODD_NAMES:
        await make_api(client, name=name, tags=["é", name.strip() or "x"])
    for payload in ODD_PAYLOADS:
        body = f'{{"type":"api","details":{{}},"payload":{payload}}}'.encode()
        made = await client.post("/triggers", content=body, headers=JSON)
        assert made.status_code == 201, made.text
    every = {"interval": "PT7M", "recurring": True}
    fired = await make_scheduled(client, {**every, "schema": SCHEMA}, payload={"é": None})
    await client.post(f"/triggers/{fired['id']}/trigger")
    paused = await make_scheduled(client, {"cron": "*/7 */5 * * 1"}, on_completion="delete")
    await client.post(f"/triggers/{paused['id']}/pause")
    await make_scheduled(client, {"time": "2020-01-01T00:00:00Z"})
    looping = await make_api(client, details={"schema": SCHEMA})
    failing = await make_scheduled(client, {"time": "2099-01-01T00:00:00.000001Z"})
    unreadable = await make_scheduled(client)
    await database.execute(LOOPS, looping["id"])
    await database.execute(FAILS, failing["id"])
    await database.execute(UNREADABLE, unreadable["id"])


JSON = {"content-type": "application/json"}
LOOPS = "UPDATE triggers SET loop_refused_at = now() WHERE id = $1"
FAILS = "UPDATE triggers SET error = 'é', next_fire_at = NULL WHERE id = $1"
UNREADABLE = """
    UPDATE triggers SET details = '{"moon": "full"}', next_fire_at = NULL WHERE id = $1
"""


async def read_bytes(client: httpx.AsyncClient, path: str) -> bytes:
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.content


async def test_each_trigger_is_listed_in_the_very_bytes_of_its_model(
    service: Service, ada: httpx.AsyncClient, overseer: httpx.AsyncClient, database: Any
) -> None:
    await make_every_kind(ada, database)
    reading = holding(service, await make_key(ada, "triggers:read"))

    for client, sorts in ((ada, SORTS), (reading, SORTS[:3:2]), (overseer, SORTS[:2])):
        ids = [one["id"] for one in json.loads(await read_bytes(client, "/triggers?limit=1000"))]
        # a query that is not plain is answered by FastAPI, with models
        models = {one: await read_bytes(client, f"/triggers/{one}?&") for one in ids}

        assert len(ids) >= len(KINDS) + len(SENDERS) + len(ODD_NAMES) + len(ODD_PAYLOADS)
        assert {one: await read_bytes(client, f"/triggers/{one}") for one in ids} == models
        for sort in sorts:
            path = f"/triggers?limit=1000&sort={sort}"
            written = await read_bytes(client, path)
            in_order = [one["id"] for one in json.loads(written)]
            assert sorted(in_order) == sorted(ids)
            assert written == b"[" + b",".join(models[one] for one in in_order) + b"]"
            assert written == await read_bytes(client, f"{path}&")
            assert written == as_models(written)

            summary = await read_bytes(client, f"{path}&view=summary")
            assert json.loads(summary, object_pairs_hook=list) == [
                *map(pairs_of_summary, json.loads(written))
            ]
            assert summary == await read_bytes(client, f"{path}&view=summary&")
            assert summary == as_models(summary)


def as_models(written: bytes) -> bytes:
    return LISTED.dump_json(LISTED.validate_json(written), exclude_unset=True)


def pairs_of_summary(trigger: dict[str, Any]) -> Any:
    """Lists the members of a summary in their order."""
    shown = {name: one for name, one in trigger.items() if name != "payload"}
    details = {name: one for name, one in shown["details"].items() if name != "schema"}
    return json.loads(json.dumps({**shown, "details": details}), object_pairs_hook=list)


async def test_a_head_of_a_list_has_the_headers_of_the_list(ada: httpx.AsyncClient) -> None:
    for number in range(4):
        await make_api(ada, name=f"é{number}")

    for path in ("/triggers?limit=3", "/triggers?limit=3&sort=name&view=summary"):
        asked, head = await ada.get(path), await ada.head(path)

        headers = [{**one.headers, "x-request-id": ""} for one in (asked, head)]
        assert (head.status_code, head.content) == (200, b"")
        assert headers[0] == headers[1]
        assert "link" in asked.headers
