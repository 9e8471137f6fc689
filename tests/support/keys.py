"""Makes API keys over HTTP, and clients that hold one."""

from typing import Any

import httpx

from tests.support.services import Service

ALL_SCOPES = [
    "triggers:read",
    "triggers:write",
    "triggers:fire",
    "events:read",
    "destinations:read",
    "destinations:write",
]


async def make_key(client: httpx.AsyncClient, *scopes: str, **more: Any) -> dict[str, Any]:
    body = {"name": "a key", "scopes": list(scopes or ALL_SCOPES), **more}
    answer = await client.post("/auth/keys", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def holding(service: Service, key: dict[str, Any]) -> httpx.AsyncClient:
    """Makes a client that sends an API key."""
    client = service.client()
    client.headers["X-API-Key"] = key["key"]
    return client
