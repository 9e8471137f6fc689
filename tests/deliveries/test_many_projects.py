"""Events of several projects that were fired in one transaction are delivered each to its own."""

import json
from typing import Any

import httpx

from tests.support.destinations import make_destination
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


async def test_each_event_goes_to_the_destinations_of_its_own_trigger(
    ada: httpx.AsyncClient, bob: httpx.AsyncClient, receiver: Receiver, database: Any
) -> None:
    for name, client in {"ada": ada, "bob": bob}.items():
        destination = await make_destination(client, f"{receiver.url}/{name}")
        body = {
            "type": "scheduled",
            "name": name,
            "details": {"interval": "PT1H"},
            "payload": {"of": name},
            "destinations": [destination["id"]],
        }
        answer = await client.post("/triggers", json=body)
        assert answer.status_code == 201, answer.text

    await database.execute("UPDATE triggers SET next_fire_at = now()")

    async def sent() -> list[tuple[str, Any]]:
        return sorted((one.path, json.loads(one.body)["data"]) for one in receiver.received)

    await eventually(sent, lambda seen: seen == [("/ada", {"of": "ada"}), ("/bob", {"of": "bob"})])
    assert await database.fetchval("SELECT count(DISTINCT xid) FROM events") == 1
