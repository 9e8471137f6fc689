"""Measures the process itself: its event loop, its memory, and what its parts hold now."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import Counter, Gauge, ProcessCollector
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.db.pool import DatabasePool
from event_trigger.db.replica.replica import ReadReplica
from event_trigger.deliveries.capacity import MOST_IN_FLIGHT
from event_trigger.stream.subscriptions import Subscriptions
from event_trigger.telemetry import (
    CONNECTIONS,
    CONNECTIONS_MAX,
    EVENT_LOOP_LAG,
    REGISTRY,
    REPLICA_AGE,
    REPLICA_USED,
    SENDER_IN_FLIGHT,
    SENDER_LIMIT,
    STREAMS,
    ConnectionState,
    Mode,
    PoolMeter,
)

_TICK_SECONDS = 0.25
_TICKS_PER_UPDATE = 8  # other processes read the gauges of this one as they were last set
_SOURCE = ProcessCollector(registry=None)  # reads /proc; elsewhere it finds nothing
_CPU = Counter("process_cpu_seconds", "CPU time of all processes.", registry=REGISTRY)

_OF_PROCESSES: Sequence[tuple[str, str, Mode]] = (
    ("virtual_memory_bytes", "Virtual memory of all processes.", "livesum"),
    ("resident_memory_bytes", "Resident memory of all processes.", "livesum"),
    ("start_time_seconds", "When the oldest process started.", "livemin"),
    ("open_fds", "Open file descriptors of all processes.", "livesum"),
    ("max_fds", "The most file descriptors of one process.", "livemin"),
)
_GAUGES = {
    name: Gauge(f"process_{name}", words, registry=REGISTRY, multiprocess_mode=mode)
    for name, words, mode in _OF_PROCESSES
}


@dataclass(frozen=True)
class Watched:
    """The parts of the process whose present state is measured; engines by their pool's name."""

    engines: Mapping[str, AsyncEngine]
    replica: ReadReplica | None
    subscriptions: Subscriptions
    attempts_in_flight: Callable[[], int]


class ProcessGauges:
    """Keeps the gauges of this process up to date, every two seconds and for each scrape."""

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._cpu_seconds = 0.0
        for name, engine in watched.engines.items():
            if isinstance(engine.pool, DatabasePool):
                engine.pool.observer = PoolMeter(name)

    async def run(self) -> None:
        """Measures the event loop's lag and updates the gauges, until it is cancelled."""
        tick = 0
        while True:
            if tick % _TICKS_PER_UPDATE == 0:
                self.update()
            due = time.monotonic() + _TICK_SECONDS
            await asyncio.sleep(_TICK_SECONDS)
            EVENT_LOOP_LAG.observe(max(0.0, time.monotonic() - due))
            tick += 1

    def update(self) -> None:
        parts = self._watched
        for name, engine in parts.engines.items():
            if isinstance(pool := engine.pool, DatabasePool):
                CONNECTIONS.labels(name, ConnectionState.USED).set(pool.lent)
                CONNECTIONS.labels(name, ConnectionState.IDLE).set(pool.idle)
                CONNECTIONS_MAX.labels(name).set(pool.most)
        REPLICA_USED.set(parts.replica is not None and parts.replica.is_fresh)
        REPLICA_AGE.set(0.0 if parts.replica is None else parts.replica.age_seconds)
        STREAMS.set(parts.subscriptions.open_count)
        SENDER_IN_FLIGHT.set(parts.attempts_in_flight())
        SENDER_LIMIT.set(MOST_IN_FLIGHT)
        self._update_process()

    def _update_process(self) -> None:
        used = time.process_time()
        _CPU.inc(max(0.0, used - self._cpu_seconds))
        self._cpu_seconds = used
        for found in _SOURCE.collect():
            if (gauge := _GAUGES.get(found.name.removeprefix("process_"))) is not None:
                gauge.set(found.samples[0].value)
