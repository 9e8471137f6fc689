"""Makes heartbeats, pings them as cron jobs do, and imitates the time that passes between."""

from datetime import timedelta
from typing import Any

import httpx

from tests.support.downtime import earlier
from tests.support.triggers import read
from tests.support.waiting import eventually

HOURLY = {"interval": 60, "grace": "PT10M"}


async def make_heartbeat(
    client: httpx.AsyncClient, details: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    body = {"type": "heartbeat", "details": details or HOURLY, **more}
    answer = await client.post("/triggers", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def ping(
    client: httpx.AsyncClient, heartbeat: dict[str, Any], signal: str = "", *, status: int = 200
) -> None:
    """Pings by GET, as `curl` does, without a token."""
    path = httpx.URL(heartbeat["hook_url"]).path + (f"/{signal}" if signal else "")
    answer = await client.get(path)
    assert answer.status_code == status, answer.text


_INSTANTS = (
    *("anchor_at", "last_ping_at", "run_started_at"),
    *("silent_since", "next_fire_at", "settled_until"),
)


async def let_pass(database: Any, heartbeat: dict[str, Any], by: timedelta) -> None:
    """Moves a heartbeat's past back, as if nothing had happened for that long."""
    await database.execute(
        f"UPDATE triggers SET {earlier(*_INSTANTS, by='$2::interval')} WHERE id = $1",
        heartbeat["id"],
        by,
    )


async def forget_outages(database: Any) -> None:
    """Imitates a service that has always run: a test's database is older than its service."""
    await database.execute("UPDATE service_beats SET beat_at = now()")
    await database.execute("DELETE FROM service_outages")


async def events_told(client: httpx.AsyncClient, heartbeat: dict[str, Any]) -> list[Any]:
    """Gives the heartbeat's events, oldest first."""
    answer = await client.get(
        "/events", params={"trigger_id": heartbeat["id"], "type": "heartbeat"}
    )
    assert answer.status_code == 200, answer.text
    return [*answer.json()[::-1]]


async def until_told(
    client: httpx.AsyncClient, heartbeat: dict[str, Any], *states: str
) -> list[Any]:
    """Waits until these are the states that the heartbeat has told, and gives its events."""
    return await eventually(
        lambda: events_told(client, heartbeat),
        lambda events: [one["payload"]["state"] for one in events] == [*states],
    )


async def status_of(client: httpx.AsyncClient, heartbeat: dict[str, Any]) -> str:
    status: str = (await read(client, heartbeat["id"]))["heartbeat"]["status"]
    return status
