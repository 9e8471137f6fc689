"""Makes destinations that hear of changes, and reads what they were told."""

import json
from collections.abc import Sequence
from typing import Any

import httpx

from tests.support.destinations import make_destination
from tests.support.downtime import earlier
from tests.support.receiver import Received, Receiver
from tests.support.waiting import eventually

CHAT = '{"text": {{ notice.message | json }}}'
_TOLD_EARLIER = earlier("told_at", by="interval '5 min'")
EARLIER = f"UPDATE notice_changes SET {_TOLD_EARLIER} WHERE told_at IS NOT NULL"


async def make_listener(
    client: httpx.AsyncClient, receiver: Receiver, *kinds: str, path: str = "/told", **more: Any
) -> dict[str, Any]:
    url = f"{receiver.url}{path}"
    return await make_destination(client, url, notices=[*kinds], **more)


async def list_notices(client: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    answer = await client.get("/notices", params=filters)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def until_told(receiver: Receiver, count: int = 1, path: str = "/told") -> Sequence[Received]:
    """Waits until so many requests came, and returns them."""

    async def told() -> Sequence[Received]:
        return receiver.at(path)

    return await eventually(told, lambda found: len(found) >= count)


def notice_in(request: Received) -> dict[str, Any]:
    """Reads the notice of a request in the format cloudevents."""
    event: dict[str, Any] = json.loads(request.body)
    return event
