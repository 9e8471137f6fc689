"""Reads lists page by page to their end."""

from typing import Any

import httpx


async def read_all(client: httpx.AsyncClient, path: str, **filters: Any) -> list[dict[str, Any]]:
    """Gives all items of a list, newest first, through `Link: …; rel="next"`."""
    found: list[dict[str, Any]] = []
    url = path
    parameters: dict[str, Any] | None = {"limit": 1000, **filters}
    while True:
        answer = await client.get(url, params=parameters)
        assert answer.status_code == 200, answer.text
        found += answer.json()
        if "next" not in answer.links:
            return found
        url, parameters = answer.links["next"]["url"], None  # {} would empty the query
