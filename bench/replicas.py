"""Measures several replicas on one PostgreSQL: their throughput, and the shares of CPU time."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

import psutil

from bench.fire import requests_to_ours
from bench.load import load
from bench.storm import measure_service
from tests.faults.site import Site, site

REPLICAS = (1, 2, 4)
CALLERS = 32


@dataclass(frozen=True)
class Shares:
    """CPU seconds of PostgreSQL, the replicas and the load generator since their start."""

    postgres: float
    replicas: float
    load: float

    def since(self, before: "Shares") -> "Shares":
        return Shares(
            self.postgres - before.postgres,
            self.replicas - before.replicas,
            self.load - before.load,
        )

    def __str__(self) -> str:
        spent = (self.postgres, self.replicas, self.load)
        return "".join(f"{one / (sum(spent) or 1):>10.0%}" for one in spent)


def shares(built: Site) -> Shares:
    """Reads the times from /proc; PostgreSQL's ended processes count with the postmaster."""
    [postmaster] = [one for one in psutil.Process().children() if one.name() == "postgres"]
    serving = [psutil.Process(one.process.pid) for one in built.replicas]
    return Shares(
        _spent([postmaster, *postmaster.children()]) + postmaster.cpu_times().children_user,
        _spent(serving),
        _spent([psutil.Process()]),
    )


def _spent(processes: Iterable[psutil.Process]) -> float:
    """Adds up CPU seconds, without processes that have ended since they were listed."""
    spent = 0.0
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            spent += times.user + times.system
    return spent


async def measure_calls(built: Site, *, count: int) -> float:
    """Returns calls a second, spread evenly over all replicas."""
    number = len(built.replicas)
    # all replicas take the same requests: only the address differs
    requests = await requests_to_ours(built)
    one_each = [
        load(served.url, requests, callers=CALLERS // number, count=count // number)
        for served in built.replicas
    ]
    return sum(one.per_second for one in await asyncio.gather(*one_each))


async def report_replicas(*, count: int, storm: int) -> list[str]:
    """Measures each number of replicas, one after the other, on a new PostgreSQL each time."""
    lines = [
        f"replicas on one PostgreSQL, {CALLERS} callers; a storm of {storm:,}:",
        f"  {'':<22}{'/s':>10}{'of one':>10}{'postgres':>10}{'replicas':>10}{'load':>10}",
    ]
    first: dict[str, float] = {}
    for number in REPLICAS:
        async with site() as built:
            await built.start(number)
            await measure_calls(built, count=count // 10)  # to warm up
            before = shares(built)
            speeds = {"calls": await measure_calls(built, count=count)}
            spent = {"calls": shares(built).since(before)}
            before = shares(built)
            speeds["storm"] = await measure_service(built, "interval", storm)
            spent["storm"] = shares(built).since(before)
        for what, speed in speeds.items():
            ratio = speed / first.setdefault(what, speed)
            lines.append(
                f"  {what + ', ' + str(number):<22}{speed:>10,.0f}{ratio:>9.2f}×{spent[what]}"
            )
    return lines
