"""Makes triggers over HTTP, as most tests begin, and reads instants from answers."""

from datetime import datetime
from typing import Any

import httpx

DAILY = {"cron": "@daily"}
# what answers to writing have, and those to reading have not
ONLY_WRITTEN: dict[str, Any] = {"hook_secret": None}


def instant(text: str) -> datetime:
    """An instant of an answer, which is always in UTC and says so with a Z."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


async def make_scheduled(
    client: httpx.AsyncClient, details: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """A scheduled trigger; without details it next fires at midnight."""
    return await _make(client, {"type": "scheduled", "details": details or DAILY, **more})


async def make_api(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    return await _make(client, {"type": "api", "details": {}, **more})


async def read(client: httpx.AsyncClient, trigger_id: int) -> dict[str, Any]:
    answer = await client.get(f"/triggers/{trigger_id}")
    assert answer.status_code == 200, answer.text
    trigger: dict[str, Any] = answer.json()
    return trigger


async def change(client: httpx.AsyncClient, trigger_id: int, patch: Any) -> dict[str, Any]:
    answer = await client.patch(f"/triggers/{trigger_id}", json=patch)
    assert answer.status_code == 200, answer.text
    trigger: dict[str, Any] = answer.json()
    return trigger


async def _make(client: httpx.AsyncClient, body: dict[str, Any]) -> dict[str, Any]:
    answer = await client.post("/triggers", json=body)
    assert answer.status_code == 201, answer.text
    trigger: dict[str, Any] = answer.json()
    return trigger
