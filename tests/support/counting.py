"""Counts what the overview shows, at once or by the service's own job."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx

from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.overview.counting import count_all
from tests.support.databases import now_of
from tests.support.triggers import instant
from tests.support.waiting import eventually


async def read_overview(client: httpx.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/overview")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def read_stats(client: httpx.AsyncClient, measure: str, **query: Any) -> dict[str, list[Any]]:
    """Gives the values by key."""
    answer = await client.get("/stats", params={"measure": measure, **query})
    assert answer.status_code == 200, answer.text
    return {one["key"]: one["values"] for one in answer.json()["series"]}


async def count_now(database_url: str) -> None:
    """Runs a pass, unless a service's own job is in one."""
    engine = create_engine(database_url)
    await count_all(create_sessions(engine), every=timedelta(0))
    await engine.dispose()


async def count_at_once(database_url: str, times: int) -> None:
    """Runs passes of so many replicas at the same time."""
    await asyncio.gather(*(count_now(database_url) for _ in range(times)))


async def until_counted(
    client: httpx.AsyncClient, database: Any, database_url: str
) -> dict[str, Any]:
    """Gives an overview that counts all that has been stored by now."""
    now = await now_of(database)

    async def counted() -> dict[str, Any]:
        await count_now(database_url)
        return await read_overview(client)

    look: Callable[[], Awaitable[dict[str, Any]]] = counted
    return await eventually(look, lambda found: found["at"] and instant(found["at"]) > now)
