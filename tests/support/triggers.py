"""Makes, reads and changes triggers over HTTP, and parses instants of answers."""

from datetime import datetime
from typing import Any

import httpx

DAILY = {"cron": "@daily"}
# fields of answers to writing requests only
ONLY_WRITTEN: dict[str, Any] = {"hook_secret": None}


def instant(text: str) -> datetime:
    """Parses an instant of an answer, which must end in Z."""
    assert text.endswith("Z")
    return datetime.fromisoformat(text)


async def make_scheduled(
    client: httpx.AsyncClient, details: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    """Makes a scheduled trigger; without details it fires daily at midnight UTC."""
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
