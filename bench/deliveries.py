"""Measures deliveries a second, compared with the HTTP clients alone."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import aiohttp
import httpx

from bench.limits import at_least
from bench.receiver import receiver
from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from tests.faults.site import Site, site
from tests.support.databases import connect
from tests.support.services import ADA

IN_FLIGHT = (8, 64)
DESTINATIONS = 50
BODY = b'{"specversion":"1.0","id":"1","data":{"padding":"' + b"x" * 200 + b'"}}'
_PLANT = """
    INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at, next_fire_at,
        settled_until, in_force_after, payload, destination_ids)
    SELECT $1::bigint % 64, $1, 'scheduled', $2, '{}', 'active', before, $3, before, before,
        '{"padding": "xxxxxxxx"}', ARRAY[($4::bigint[])[1 + number % $5]]
    FROM generate_series(1, $6) AS number,
        (SELECT CAST($3 AS timestamptz) - interval '1 h') AS early (before)
"""

Post = Callable[[], Awaitable[Any]]


async def posts_a_second(post: Post, in_flight: int, count: int) -> float:
    left = count

    async def one_after_another() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await post()

    began = time.perf_counter()
    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    return count / (time.perf_counter() - began)


async def measure_clients(url: str, *, posts: int, rounds: int) -> dict[tuple[str, int], float]:
    """Returns each client's posts a second: the medians of interleaved rounds."""
    sender = Sender(AddressPolicy([ip_network("127.0.0.0/8")]), DnsResolver().lookup)
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    found: dict[tuple[str, int], list[float]] = {}
    async with (
        httpx.AsyncClient(limits=limits, trust_env=False) as plain,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):

        async def bare() -> None:
            async with session.post(url, data=BODY) as response:
                await response.read()

        clients: dict[str, Post] = {
            "plain httpx": lambda: plain.post(url, content=BODY),
            "our sender": lambda: sender.post(url, {}, BODY, within=10),
            "bare aiohttp": bare,
        }
        for _ in range(rounds):
            for in_flight in IN_FLIGHT:
                for name, post in clients.items():
                    speed = await posts_a_second(post, in_flight, posts)
                    found.setdefault((name, in_flight), []).append(speed)
    await sender.aclose()
    return {key: statistics.median(speeds) for key, speeds in found.items()}


async def measure_end_to_end(built: Site, url: str, count: int) -> float:
    """Returns deliveries a second, from the due time of all triggers to the last record."""
    async with built.client() as client:
        ids = []
        for number in range(DESTINATIONS):
            body = {"url": f"{url}/{number}", "max_concurrency": 20}
            ids.append((await client.post("/destinations", json=body)).json()["id"])
    database = await connect(built.url)
    due_at = datetime.now(UTC) + timedelta(seconds=3)
    await database.execute(
        _PLANT,
        ADA,
        '{"interval": "PT1H"}',
        due_at,
        ids,
        DESTINATIONS,
        count,
    )
    await database.execute("ANALYZE triggers")
    while True:
        await asyncio.sleep(0.25)
        counted = await database.fetchrow(
            "SELECT count(*) AS count, max(finished_at) AS last FROM deliveries"
            " WHERE status = 'delivered'"
        )
        if counted["count"] == count:
            break
    await database.close()
    return count / float((counted["last"] - due_at).total_seconds())


async def report_deliveries(*, count: int, posts: int, rounds: int) -> list[str]:
    with receiver() as url:
        speeds = await measure_clients(url, posts=posts, rounds=rounds)
        recorded = []
        for _ in range(rounds):
            async with site({"EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8"}) as built:
                await built.start(1)
                recorded.append(await measure_end_to_end(built, url, count))
    end_to_end = statistics.median(recorded)
    lines = [f"{'posts a second':<28}" + "".join(f"{f'{n} in flight':>16}" for n in IN_FLIGHT)]
    for name in ("plain httpx", "our sender", "bare aiohttp"):
        cells = [speeds[name, in_flight] for in_flight in IN_FLIGHT]
        lines.append(f"  {name:<26}" + "".join(f"{cell:>16,.0f}" for cell in cells))
    ratio = end_to_end / speeds["our sender", 64]
    return [
        *lines,
        f"fire to recorded, {count:,} to {DESTINATIONS} destinations, one replica,"
        f" median of {rounds}:",
        f"  {end_to_end:,.0f} deliveries a second, {ratio:.2f} of what the sender alone posts",
        at_least("deliveries", end_to_end, 3000, "/s"),
    ]
