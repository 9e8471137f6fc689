"""Measures the start of the service with very many planned triggers, compared with none.

It measures from the start of the process until it accepts connections, and until `/readyz` is 200.
"""

import asyncio
import statistics
import time
from dataclasses import dataclass

import httpx

from bench.fire import free_port
from bench.gauges import connected
from bench.limits import at_most
from bench.planned import make_owners, plant_idle
from tests.faults.site import Site, site
from tests.support.processes import environment, start

POLL_EVERY = 0.002  # seconds


@dataclass(frozen=True)
class Started:
    """Seconds since the process was started."""

    listening: float
    ready: float


async def measure_start(built: Site) -> Started:
    port = free_port()
    began = time.perf_counter()
    served = start(built.folder, [], environment(**built.settings | {"PORT": str(port)}))
    built.replicas.append(served)
    await until_listening(port)
    listening = time.perf_counter() - began
    await until_ready(port)
    ready = time.perf_counter() - began
    await served.end()
    return Started(listening, ready)


async def until_listening(port: int) -> None:
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(POLL_EVERY)
        else:
            writer.close()
            return


async def until_ready(port: int) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        while True:
            answer = await client.get("/readyz")
            if answer.status_code == 200:
                return
            await asyncio.sleep(POLL_EVERY)


async def median_start(built: Site, rounds: int) -> Started:
    every = [await measure_start(built) for _ in range(rounds)]
    return Started(
        statistics.median(one.listening for one in every),
        statistics.median(one.ready for one in every),
    )


async def report_startup(*, triggers: int, rounds: int) -> list[str]:
    async with site() as built:
        none = await median_start(built, rounds)
        async with connected(built) as database:
            await plant_idle(database, await make_owners(database), triggers)
        many = await median_start(built, rounds)
    return [
        f"{f'start-up, medians of {rounds}':<40}{'listening ms':>14}{'ready ms':>10}",
        line("no trigger", none),
        line(f"{triggers:,} planned triggers", many),
        at_most("ready once it listens", (many.ready - many.listening) * 1000, 1000, " ms"),
    ]


def line(name: str, started: Started) -> str:
    return f"  {name:<38}{started.listening * 1000:>14,.0f}{started.ready * 1000:>10,.0f}"
