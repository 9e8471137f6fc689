"""Replaces two processes on a database of 20 connections under constant calls: none is refused."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from sqlalchemy import make_url

from tests.faults.checker import check
from tests.faults.site import Site, locations_of, make_secondly, site, until_on_time
from tests.support.databases import connect
from tests.support.processes import Served
from tests.support.services import ADA, PLAIN_HTTP, fill_with_people, token_of
from tests.support.triggers import make_api

CONNECTIONS = 20  # as free plans of databases have
CALLERS = 24  # more than the connections of one process
ROLE = "tenant"


@asynccontextmanager
async def limited_site() -> AsyncIterator[Site]:
    """Runs a site whose role may have few connections."""
    async with site({"EVENT_TRIGGER_LOG_LEVEL": "info"}) as built:
        theirs = make_url(built.postgres.url).set(database="theirs")
        owner = await connect(built.postgres.url)
        await owner.execute(f"CREATE ROLE {ROLE} LOGIN CONNECTION LIMIT {CONNECTIONS}")
        await owner.execute(f"CREATE DATABASE theirs OWNER {ROLE}")
        await owner.close()
        built.url = theirs.set(username=ROLE).render_as_string(hide_password=False)
        await fill_with_people(built.url)
        yield built


@dataclass
class Balancer:
    """Sends each call to the next process that is ready, as a load balancer does.

    A process that refuses or drops a connection is passed over; the repeated call has the same
    `Idempotency-Key`.
    """

    processes: list[Served]
    ready: list[str] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    repeated: int = 0
    locations: list[str] = field(default_factory=list)
    _turn: "itertools.count[int]" = field(default_factory=itertools.count)

    async def probe(self) -> None:
        """Asks `/readyz` of all processes, four times a second, until it is cancelled."""
        async with new_client() as client:
            while True:
                addresses = [one.url for one in self.processes if has_begun(one)]
                answers = await asyncio.gather(*(is_ready(client, one) for one in addresses))
                self.ready = [one for one, ready in zip(addresses, answers, strict=True) if ready]
                await asyncio.sleep(0.25)

    async def call(self, client: httpx.AsyncClient, path: str, key: str) -> None:
        while True:
            if not self.ready:
                await asyncio.sleep(0.01)
                continue
            address = self.ready[next(self._turn) % len(self.ready)]
            try:
                answer = await client.post(address + path, headers={"Idempotency-Key": key})
            except httpx.TransportError:
                self.repeated += 1
                await asyncio.sleep(0.01)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code == 200:
                self.locations.append(answer.headers["Location"])
            else:
                print(answer.status_code, answer.text)
            return


def new_client() -> httpx.AsyncClient:
    headers = {"Authorization": f"Bearer {token_of(ADA)}"}
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncClient(timeout=20, verify=PLAIN_HTTP, headers=headers, limits=limits)


def has_begun(served: Served) -> bool:
    return served.process.poll() is None and "/api/docs" in served.printed


async def is_ready(client: httpx.AsyncClient, address: str) -> bool:
    try:
        return (await client.get(f"{address}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


async def keep_calling(balancer: Balancer, path: str, name: str, is_over: asyncio.Event) -> None:
    async with new_client() as client:
        for number in itertools.count():
            if is_over.is_set():
                return
            await balancer.call(client, path, f"{name}-{number}")


async def test_a_rolling_deploy_on_twenty_connections_refuses_no_call() -> None:
    async with limited_site() as built:
        await built.start(2)
        async with built.client() as client:
            grids = await make_secondly(client, 20, catch_up="all")
            trigger = await make_api(client)
        balancer, is_over = Balancer(built.replicas), asyncio.Event()
        probing = asyncio.create_task(balancer.probe())
        path = f"/triggers/{trigger['id']}/trigger"
        calling = [
            asyncio.create_task(keep_calling(balancer, path, f"caller-{number}", is_over))
            for number in range(CALLERS)
        ]

        await asyncio.sleep(5)
        codes = []
        for number in range(2):
            await built.start(1)  # beside the two others, until it is ready
            await asyncio.sleep(3)
            codes.append(await built.replicas[number].end())
            await asyncio.sleep(3)
        is_over.set()
        await asyncio.gather(*calling)
        assert not probing.done()
        probing.cancel()
        await until_on_time(built.url)
        stored = await locations_of(built.url, trigger["id"])
        await built.end()
        report = await check(built.url, grids)
        code, said = built.audit()

    calls = sum(balancer.statuses.values())
    print(f"rolling deploy: {calls} calls, {dict(balancer.statuses)}, {balancer.repeated} repeated")
    print(f"  {report}\n  audit: {said.strip()}")
    assert codes == [0, 0]
    assert {*balancer.statuses} == {200}
    assert stored == Counter(balancer.locations)
    assert report.is_clean
    assert report.fired == report.planned
    assert code == 0
