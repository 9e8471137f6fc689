"""Events of heartbeats are delivered as all others are."""

import json
from typing import Any

import httpx

from tests.support.destinations import make_destination
from tests.support.heartbeats import make_heartbeat, ping
from tests.support.receiver import Receiver
from tests.support.waiting import eventually


async def test_a_silence_and_its_end_reach_the_destination(
    ada: httpx.AsyncClient, anonymous: httpx.AsyncClient, receiver: Receiver
) -> None:
    destination = await make_destination(ada, f"{receiver.url}/hook")
    made = await make_heartbeat(ada, destinations=[destination["id"]], key="backup")

    await ping(anonymous, made)
    await ping(anonymous, made, "fail")
    await ping(anonymous, made)

    async def told() -> list[tuple[str, str, str]]:
        sent = sorted(map(json.loads, (one.body for one in receiver.received)), key=_id)
        return [(one["type"], one["triggerkey"], one["data"]["state"]) for one in sent]

    await eventually(
        told,
        lambda sent: (
            sent == [("event_trigger.heartbeat", "backup", state) for state in ("silent", "alive")]
        ),
    )


def _id(sent: dict[str, Any]) -> int:
    return int(sent["id"])
