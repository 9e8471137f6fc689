"""Bad receivers and killed senders neither delay nor lose deliveries to healthy receivers."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from statistics import quantiles
from typing import Any

import httpx
import psutil
from aiohttp import web
from svix.webhooks import Webhook

from tests.faults.site import Site, site
from tests.support.databases import connect
from tests.support.destinations import make_destination
from tests.support.misbehaving import drip_headers, flood, hang, raw_server
from tests.support.processes import until_ready
from tests.support.receiver import Receiver, receiving
from tests.support.triggers import make_api
from tests.support.waiting import eventually

SETTINGS = {
    "EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8",
    "EVENT_TRIGGER_RETRY_AFTER": "2,2,2,600",
}
RECEIVERS, EVENTS, CALLERS = 50, 1000, 8
TIMEOUT = 5  # seconds, for an attempt
SLOWED_AT_MOST = 10  # times, at the 95th percentile: the bad ones take processor time too
TAKEN_OVER_WITHIN = 60  # seconds, which only bound a hang


@dataclass
class Crowd:
    """All receivers; `seconds` has the time that each event took to a healthy one."""

    urls: list[str]
    healthy: set[str]
    secrets: dict[str, str] = field(default_factory=dict)
    destinations: list[int] = field(default_factory=list)
    triggers: dict[str, int] = field(default_factory=dict)  # by URL
    fired: dict[str, set[str]] = field(default_factory=dict)
    seconds: dict[tuple[str, str], float] = field(default_factory=dict)
    arrivals: int = 0
    delay: float = 0.0

    async def arrive(self, request: web.Request) -> web.StreamResponse:
        now, body = time.time(), await request.read()
        Webhook(self.secrets[request.path]).verify(body, dict(request.headers))
        said = json.loads(body)
        took = now - datetime.fromisoformat(said["time"]).timestamp()
        self.arrivals += 1
        self.seconds.setdefault((request.path, said["id"]), took)
        await asyncio.sleep(self.delay)
        return web.Response(status=204)

    @property
    def healthy_urls(self) -> list[str]:
        return [url for url in self.urls if httpx.URL(url).path in self.healthy]

    def percentile(self) -> float:
        """Gives the 95th percentile of the seconds from an event to its arrival."""
        return quantiles(self.seconds.values(), n=20)[-1]

    @property
    def missing(self) -> int:
        wanted = {(path, one) for path in self.healthy for one in self.fired.get(path, ())}
        return len(wanted - self.seconds.keys())


@asynccontextmanager
async def crowd(receiver: Receiver) -> AsyncIterator[Crowd]:
    """Runs 44 healthy receivers, and one of each bad kind."""
    async with AsyncExitStack() as stack:
        others = [await stack.enter_async_context(raw_server(hang))]
        others.append(await stack.enter_async_context(raw_server(drip_headers)))
        others.append(await stack.enter_async_context(raw_server(flood)))
        async with raw_server(hang) as closed:
            others.append(closed)
        others += [receiver.url + "/500", receiver.url + "/301"]
        receiver.answers |= {"/500": 500, "/301": 301}
        paths = [f"/healthy/{number}" for number in range(RECEIVERS - len(others))]
        built = Crowd([*others, *(receiver.url + path for path in paths)], set(paths))
        for path in paths:
            receiver.answers[path] = built.arrive
        yield built


async def fill(client: httpx.AsyncClient, built: Crowd) -> None:
    for url in built.urls:
        made = await make_destination(client, url, timeout=TIMEOUT)
        built.destinations.append(made["id"])
        built.secrets[httpx.URL(url).path] = made["secret"]
        trigger = await make_api(client, name=url, destinations=[made["id"]])
        built.triggers[url] = trigger["id"]


async def rotate_all(client: httpx.AsyncClient, built: Crowd) -> None:
    """Rotates all secrets; receivers still verify with the old ones, which sign too."""
    for destination_id in built.destinations:
        answer = await client.post(f"/destinations/{destination_id}/rotate-secret")
        assert answer.status_code == 200, answer.text


async def fire_all(clients: Sequence[httpx.AsyncClient], built: Crowd, urls: list[str]) -> None:
    """Fires EVENTS events as fast as the callers can, for these receivers in turn."""
    left = iter(range(EVENTS))

    async def call(number: int) -> None:
        for event in left:
            url = urls[event % len(urls)]
            answer = await fire(clients, number, built.triggers[url])
            event_id = answer.headers["location"].removeprefix("/events/")
            built.fired.setdefault(httpx.URL(url).path, set()).add(event_id)

    await asyncio.gather(*(call(number) for number in range(CALLERS)))


async def fire(
    clients: Sequence[httpx.AsyncClient], number: int, trigger_id: int
) -> httpx.Response:
    """Calls one replica after the other until one answers."""
    for attempt in range(20):
        try:
            client = clients[(number + attempt) % len(clients)]
            answer = await client.post(f"/triggers/{trigger_id}/trigger")
        except httpx.TransportError:
            await asyncio.sleep(0.1)
            continue
        assert answer.status_code == 200, answer.text
        return answer
    raise AssertionError("nobody answers")


def resident(built: Site, number: int = 0) -> float:
    """Gives the resident memory of a replica, in MiB."""
    return float(psutil.Process(built.replicas[number].process.pid).memory_info().rss / 2**20)


async def count_by_status(url: str) -> dict[str, int]:
    database = await connect(url)
    rows = await database.fetch("SELECT status, count(*) FROM deliveries GROUP BY status")
    await database.close()
    return {row["status"]: row["count"] for row in rows}


async def count(url: str, rows: str) -> int:
    database = await connect(url)
    found: int = await database.fetchval(f"SELECT count(*) FROM {rows}")
    await database.close()
    return found


async def test_healthy_receivers_wait_for_no_bad_one() -> None:
    async with site(SETTINGS) as built, receiving() as receiver, crowd(receiver) as people:
        receiver.remembers = False
        await built.start(1)
        async with built.client() as client:
            await fill(client, people)
            await fire_all([client], people, people.healthy_urls)
            await eventually(missing(people), lambda count: count == 0)
            undisturbed = people.percentile()
            people.seconds.clear()
            people.fired.clear()
            people.arrivals = 0
            before = resident(built)
            began = time.perf_counter()
            await asyncio.gather(
                fire_all([client], people, people.urls), rotate_all(client, people)
            )
            took = time.perf_counter() - began
            await eventually(missing(people), lambda count: count == 0)
            await asyncio.sleep(2 * TIMEOUT)  # until attempts at bad receivers have timed out
            after = resident(built)
            statuses = await count_by_status(built.url)
        await built.end()

    disturbed = people.percentile()
    print(f"{EVENTS} events in {took:.1f} s to {RECEIVERS} receivers, 6 of them misbehaving")
    print("  every secret was rotated during that, every signature verified by svix")
    print(
        f"  healthy: {len(people.seconds)} arrived, p95 {disturbed * 1000:.0f} ms after the event"
    )
    print(f"  ({undisturbed * 1000:.0f} ms without the others), worst")
    print(f"  {max(people.seconds.values()) * 1000:.0f} ms; twice: {twice(people)}")
    print(f"  memory: {before:.0f} MiB, afterwards {after:.0f}; deliveries: {statuses}")
    assert disturbed < SLOWED_AT_MOST * undisturbed
    assert twice(people) == 0
    assert after - before < 50


def missing(people: Crowd) -> Any:
    async def look() -> int:
        return people.missing

    return look


def twice(people: Crowd) -> int:
    return people.arrivals - len(people.seconds)


async def test_a_sender_that_is_killed_in_the_middle_loses_nothing() -> None:
    async with site(SETTINGS) as built, receiving() as receiver, crowd(receiver) as people:
        receiver.remembers, people.delay = False, 0.5  # so that each kill meets some in flight
        await built.start(2)
        async with built.client(0) as first, built.client(1) as second:
            await fill(first, people)
            firing = asyncio.create_task(fire_all([first, second], people, people.urls))
            kills = 0
            while not firing.done():
                await asyncio.sleep(0.5)
                built.kill(kills % 2)
                built.restart(kills % 2)
                kills += 1
                await until_ready(built.replicas[(kills - 1) % 2])
                first.base_url, second.base_url = (one.url for one in built.replicas)
            await firing
            ended = time.perf_counter()
            await eventually(missing(people), lambda c: c == 0, within=TAKEN_OVER_WITHIN)
            await eventually(unsettled(built), lambda c: c == 0, within=TAKEN_OVER_WITHIN)
            took = time.perf_counter() - ended
            interrupted = await count(built.url, "delivery_attempts WHERE error = 'interrupted'")
        await built.end()

    print(f"{kills} kills -9 of two senders while {EVENTS} events were fired:")
    print(f"  all {len(people.seconds)} healthy deliveries arrived, the last was recorded")
    print(f"  {took:.1f} s after the last call; {interrupted} attempts were cut off, on record;")
    print(f"  {twice(people)} arrived twice, under the same webhook-id")
    assert kills >= 2
    assert interrupted > 0


def unsettled(built: Site) -> Any:
    async def look() -> int:
        healthy = "SELECT id FROM destinations WHERE url LIKE '%/healthy/%'"
        return await count(
            built.url,
            f"deliveries WHERE status <> 'delivered' AND destination_id IN ({healthy})",
        )

    return look
