"""Measures deliveries a second, compared with the HTTP clients alone."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, cast

import aiohttp
import httpx

from bench.gauges import connected
from bench.planned import plant_due
from bench.receiver import receiver
from bench.report import Rounds, at_least, ratio, table
from bench.served import copy_of, default_site
from event_trigger.deliveries.http.sender import Sender
from event_trigger.destinations.address_policy import AddressPolicy
from event_trigger.destinations.dns import DnsResolver
from tests.faults.site import Site
from tests.support.services import ADA

IN_FLIGHT = (8, 64)
DESTINATIONS = 50
OURS = "our sender"
BODY = b'{"specversion":"1.0","id":"1","data":{"padding":"' + b"x" * 200 + b'"}}'
TEMPLATE = '{"text": {{ data.padding | json }}, "at": {{ event.time | json }}}'
FORMS: dict[str, dict[str, str]] = {  # in turns
    "cloudevents": {},
    "template": {"format": "template", "template": TEMPLATE},
}
Post = Callable[[], Awaitable[Any]]


async def posts_a_second(post: Post, in_flight: int, seconds: float) -> float:
    await asyncio.gather(*(post() for _ in range(in_flight)))  # to connect
    began, posted = time.perf_counter(), 0

    async def one_after_another() -> None:
        nonlocal posted
        while time.perf_counter() < began + seconds:
            await post()
            posted += 1

    await asyncio.gather(*(one_after_another() for _ in range(in_flight)))
    return posted / (time.perf_counter() - began)


async def measure_clients(url: str, *, seconds: float, rounds: int) -> Rounds[float]:
    """Measures each client's posts a second in interleaved rounds."""
    sender = Sender(AddressPolicy([ip_network("127.0.0.0/8")]), DnsResolver().lookup)
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    found = Rounds[float]()
    async with (
        httpx.AsyncClient(limits=limits, trust_env=False) as plain,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session,
    ):

        async def ours() -> None:
            result = await sender.send(url, {}, BODY, within=10)
            assert result.error is None, result

        async def bare() -> None:
            async with session.post(url, data=BODY) as response:
                await response.read()

        clients: dict[str, Post] = {
            "plain httpx": lambda: plain.post(url, content=BODY),
            OURS: ours,
            "bare aiohttp": bare,
        }
        for _ in range(rounds):
            for name, post in clients.items():
                for in_flight in IN_FLIGHT:
                    taken = posts_a_second(post, in_flight, seconds)
                    await found.take(_named(name, in_flight), taken)
    await sender.aclose()
    return found


async def measure_end_to_end(built: Site, url: str, count: int, form: dict[str, str]) -> float:
    """Returns deliveries a second, from the due time of all triggers to the last record.

    Each time it is measured in a new copy of the database.
    """
    built = await copy_of(built)
    try:
        await built.start(1)
        ids = await _destinations(built, url, form)
        due_at = datetime.now(UTC) + timedelta(seconds=3 + count / 5_000)
        async with connected(built) as database:
            await plant_due(database, [ADA], count, due_at, destinations=ids)
            await database.execute("ANALYZE triggers")
            assert datetime.now(UTC) < due_at, "planting took too long"
            last = await until_delivered(built, database, count)
    finally:
        await built.end()
    return count / (last - due_at).total_seconds()


async def _destinations(built: Site, url: str, form: dict[str, str]) -> list[int]:
    made = []
    async with built.client() as client:
        for number in range(DESTINATIONS):
            body = {"url": f"{url}/{number}", "max_concurrency": 20, **form}
            answer = await client.post("/destinations", json=body)
            assert answer.status_code == 201, answer.text
            made.append(answer.json()["id"])
    return made


async def until_delivered(built: Site, database: Any, count: int) -> datetime:
    while True:
        await asyncio.sleep(0.25)
        assert built.replicas[-1].process.poll() is None, "the service has ended"
        delivered, last = await database.fetchrow(
            "SELECT count(*), max(finished_at) FROM deliveries WHERE status = 'delivered'"
        )
        if delivered == count:
            return cast(datetime, last)


async def report_deliveries(*, count: int, seconds: float, rounds: int) -> list[str]:
    recorded = Rounds[float]()
    with receiver() as url:
        speeds = await measure_clients(url, seconds=seconds, rounds=rounds)
        async with default_site({"EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8"}) as built:
            for _ in range(rounds):
                for name, form in FORMS.items():
                    taken = measure_end_to_end(built, url, count, form)
                    await recorded.take(name, taken)
    posts = speeds.medians()
    rows = {name: (f"{speed:,.0f}",) for name, speed in posts.items()}
    plain, templated = (recorded.medians().get(name) for name in FORMS)
    made = {name: (f"{speed:,.0f}",) for name, speed in recorded.medians().items()}
    title = f"fire to recorded, {count:,} to {DESTINATIONS} destinations, median of {rounds}"
    beside = ratio(plain, posts.get(_named(OURS, IN_FLIGHT[-1])))
    return [
        *table("posts", ("/s",), rows, speeds.failed),
        *table(title, ("/s",), made, recorded.failed),
        at_least("deliveries", plain, 8000, "/s"),
        at_least("deliveries beside the sender's posts alone", beside, 0.6, "×"),
        at_least("with templates, beside those without", ratio(templated, plain), 0.8, "×"),
    ]


def _named(client: str, in_flight: int) -> str:
    return f"{client}, {in_flight} in flight"
