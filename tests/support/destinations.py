"""Makes destinations and reads deliveries over HTTP."""

from typing import Any

import httpx

from tests.support.waiting import eventually


async def make_destination(client: httpx.AsyncClient, url: str, **more: Any) -> dict[str, Any]:
    answer = await client.post("/destinations", json={"url": url, **more})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def read_destination(client: httpx.AsyncClient, destination_id: int) -> dict[str, Any]:
    answer = await client.get(f"/destinations/{destination_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def try_out(client: httpx.AsyncClient, url: str, **more: Any) -> dict[str, Any]:
    """Makes a destination, pings it, and gives that attempt."""
    made = await make_destination(client, url, timeout=1, **more)
    answer = await client.post(f"/destinations/{made['id']}/test")
    assert answer.status_code == 200, answer.text
    attempt: dict[str, Any] = answer.json()
    return attempt


async def until_held(client: httpx.AsyncClient, destination_id: int) -> dict[str, Any]:
    """Waits until the receiver has asked for a pause, and gives the destination."""
    return await eventually(
        lambda: read_destination(client, destination_id),
        lambda found: found["held_until"] is not None,
    )


async def list_deliveries(client: httpx.AsyncClient, **filters: Any) -> list[dict[str, Any]]:
    answer = await client.get("/deliveries", params={"limit": 1000, **filters})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()
    return found


async def read_delivery(client: httpx.AsyncClient, delivery_id: int) -> dict[str, Any]:
    answer = await client.get(f"/deliveries/{delivery_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def until_finished(
    client: httpx.AsyncClient, count: int = 1, **filters: Any
) -> list[dict[str, Any]]:
    """Waits until `count` deliveries are finished; gives them with attempts, oldest first."""

    async def finished() -> list[dict[str, Any]]:
        found = await list_deliveries(client, **filters)
        return [one for one in found if one["finished_at"] is not None]

    found = await eventually(finished, lambda done: len(done) >= count)
    return [await read_delivery(client, one["id"]) for one in reversed(found)]


async def fire(client: httpx.AsyncClient, trigger: dict[str, Any], how: str = "trigger") -> int:
    """Fires an API trigger, and gives the event's id."""
    answer = await client.post(f"/triggers/{trigger['id']}/{how}")
    assert answer.status_code == 200, answer.text
    return int(answer.headers["location"].rpartition("/")[2])
