"""Measures the speed of requests, and the CPU time that each takes of service and PostgreSQL."""

import os
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import psutil

from bench.gauges import cpu_of
from bench.load import load

Processes = Callable[[], list[psutil.Process]]  # of a service, its workers included
HEADS = ("/s", "p99 ms", "× Flask", "p99", "CPU ms", "postgres", "load")


class Beside(NamedTuple):
    """How many times as many there were, and as long they took (p99), as Flask's just before."""

    faster: float
    slower: float


class Cost(NamedTuple):
    """Events or answers a second, p99 (ms), CPU of each (ms), and the load's share of all cores."""

    per_second: float
    p99: float
    service: float
    postgres: float
    load: float

    def beside(self, base: "Cost") -> Beside:
        return Beside(self.per_second / base.per_second, self.p99 / base.p99)

    def cells(self, beside: Beside | None = None) -> list[str]:
        """Returns the cells under HEADS; `beside` is how it compares with Flask."""
        ratios = ["", ""]
        if beside is not None:
            ratios = [f"{beside.faster:.1f}×", f"{beside.slower:.2f}×"]
        spent = [f"{self.service:.2f}", f"{self.postgres:.2f}", f"{self.load:.0%}"]
        return [f"{self.per_second:,.0f}", f"{self.p99:.1f}", *ratios, *spent]


async def measure(
    url: str,
    processes: Processes,
    requests: Sequence[bytes],
    *,
    callers: int,
    seconds: float,
    events: int = 1,
) -> Cost:
    """Sends requests for so long; with `events` for each, the events are counted."""
    service = processes()
    before, began = cpu_of(service), time.perf_counter()
    found = await load(url, requests, callers=callers, seconds=seconds)
    took, spent = time.perf_counter() - began, cpu_of(service).since(before)
    count = found.per_second * events * took
    return Cost(
        found.per_second * events,
        found.p99,
        service=1000 * spent.service / count,
        postgres=1000 * spent.postgres / count,
        load=spent.load / took / (os.cpu_count() or 1),
    )
