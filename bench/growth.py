"""Measures how start, memory, calls and firings change with more triggers and events.

A start is timed until the process listens, and until `/readyz` is 200, and its CPU time until then
is read; with one process, and with databases of all sizes.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import httpx

from bench.flask_peer import free_port, until_listening
from bench.gauges import MIB, connected, cpu_of, memory_of_service, processes_of
from bench.large_log import sweep_all
from bench.load import load, post
from bench.report import Rounds, at_most, table
from bench.served import copy_of, default_site, end_replicas
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from tests.faults.site import Site
from tests.support.processes import environment, start, until_ready
from tests.support.services import ADA, token_of

CALLED = 10_000  # triggers that are called in turn, of all
CALLERS, STARTS, ROUNDS, HOURS = 32, 3, 5, 47
FLAT = 1.2  # of the first cost: equal rounds differ by as much
BODY = b'{"order": 42}'
# half of them wait for calls, the others are each due at another instant at least a day ahead
_TRIGGERS = """
    INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at, next_fire_at,
        payload)
    SELECT $1::bigint % 64, $1, kind, details, '{}', 'active', now(), next_fire_at,
        '{"padding": "xxxxxxxx"}'
    FROM generate_series($2::int, $3::int) AS number, LATERAL (
        SELECT 'api', '{}'::json, NULL::timestamptz WHERE number % 2 = 0
        UNION ALL
        SELECT 'scheduled', '{"interval": "PT24H", "recurring": true}',
            now() + interval '24 h' + number * interval '70 ms' WHERE number % 2 = 1
    ) AS made (kind, details, next_fire_at)
"""
_EVENTS = """
    INSERT INTO {table} (shard, owner_id, trigger_id, type, triggered_at, payload, is_test)
    SELECT $1::bigint % 64, $1, 1 + number % $2::int, 'api',
        $3::timestamptz + number * interval '1 h' / $4::int, '{{"padding": "xxxxxxxx"}}', false
    FROM generate_series(0, $4::int - 1) AS number
"""
_DUE = """
    UPDATE triggers SET next_fire_at = $1 WHERE (shard, id) IN (
        SELECT shard, id FROM triggers WHERE type = 'scheduled' ORDER BY id LIMIT $2
    )
"""


class Start(NamedTuple):
    """Seconds from the start of a process until it listens, and until it is ready.

    `cpu` is the CPU seconds until then.
    """

    listening: float
    ready: float
    cpu: float


class Turn(NamedTuple):
    """Calls a second, their times (ms), and scheduled firings a second, in one turn."""

    calls: float
    p50: float
    p99: float
    scheduled: float


@dataclass(frozen=True)
class Stage:
    """A database of one size, and the one replica that serves it."""

    built: Site
    requests: list[bytes]
    start: Start
    at_start: int  # bytes of memory

    async def measure(self, *, seconds: float, due: int) -> Turn:
        url = self.built.replicas[-1].url
        calls = await load(url, self.requests, callers=CALLERS, seconds=seconds)
        async with connected(self.built) as database:
            scheduled = await measure_scheduled(database, due)
        return Turn(calls.per_second, calls.p50, calls.p99, scheduled)


Stages = Mapping[str, Stage]


async def plant_triggers(built: Site, *, first: int, last: int) -> None:
    async with connected(built) as database:
        await database.execute(_TRIGGERS, ADA, first, last)
        await database.execute("VACUUM ANALYZE triggers")
        await database.execute("CHECKPOINT")


async def plant_events(built: Site, *, count: int) -> None:
    """Spreads events evenly over the hours of retention, and closes the partitions of the past."""
    engine = create_engine(built.url)
    hour, each = timedelta(hours=1), count // HOURS
    async with create_sessions(engine).begin() as session:
        partitions = Partitions(session)
        first = min(await partitions.list_all()).starts_at
        past = [Partition(first - n * hour, first - (n - 1) * hour) for n in range(HOURS, 0, -1)]
        for partition in past:
            await partitions.add(partition)
    await engine.dispose()
    async with connected(built) as database:
        for partition in past:
            statement = _EVENTS.format(table=partition.table)
            await database.execute(statement, ADA, CALLED, partition.starts_at, each)
        await sweep_all(built.url)
        await database.execute("VACUUM ANALYZE")
        await database.execute("CHECKPOINT")


async def begin(built: Site, starts: int) -> Stage:
    """Starts the replica several times; the last one stays."""
    every = [await measure_start(built) for _ in range(starts)]
    url = built.replicas[-1].url
    async with connected(built) as database:
        rows = await database.fetch(
            "SELECT id FROM triggers WHERE type = 'api' ORDER BY id LIMIT $1", CALLED // 2
        )
    requests = [post(f"{url}/triggers/{row['id']}/trigger", token_of(ADA), BODY) for row in rows]
    await load(url, requests, callers=CALLERS, seconds=0.5)  # to warm up
    medians = Start(*map(statistics.median, zip(*every, strict=True)))
    return Stage(built, requests, medians, memory_of_service(built))


async def measure_start(built: Site) -> Start:
    """Ends the replica that runs, and starts another one."""
    await built.end()
    port, began = free_port(), time.perf_counter()
    served = start(built.folder, [], environment(**built.settings | {"PORT": str(port)}))
    built.replicas.append(served)
    await until_listening(port, look_every=0.002)
    listening = time.perf_counter() - began
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        while (await client.get("/readyz")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.002)
    ready, cpu = time.perf_counter() - began, cpu_of(processes_of(built)).service
    await until_ready(served)
    return Start(listening, ready, cpu)


async def measure_scheduled(database: Any, due: int) -> float:
    """Returns firings a second when `due` triggers are due at one instant."""
    soon = datetime.now(UTC) + timedelta(seconds=1 + due / 4_000)
    await database.execute(_DUE, soon, due)
    late = (datetime.now(UTC) - soon).total_seconds()
    assert late < 0, f"planting took {late:.1f} s too long"
    fired = "SELECT count(*), max(triggered_at) FROM events WHERE scheduled_for = $1"
    fired += " AND triggered_at >= $1"
    while True:
        count, last = await database.fetchrow(fired, soon)
        if count >= due:
            assert count == due, "some fired twice"
            return due / float((last - soon).total_seconds())
        await asyncio.sleep(0.1)


async def grow(
    built: Site, triggers: Sequence[int], events: int
) -> AsyncIterator[tuple[str, Site]]:
    """Yields a database for each size; the last one also has the events."""
    planted = 0
    for count in triggers:
        await plant_triggers(built, first=planted + 1, last=count)
        yield f"{count:,} triggers", await copy_of(built)
        planted = count
    if events:
        await plant_events(built, count=events)
        yield f"and {events:,} events", built


async def report_growth(
    *,
    triggers: Sequence[int] = (10_000, 1_000_000),
    events: int = 2_000_000,
    seconds: float = 1.5,
    due: int = 5_000,
) -> list[str]:
    """Measures all sizes in turn on one PostgreSQL; the ratios compare with the first line's."""
    assert due <= triggers[0] // 2, "there are too few triggers"
    turns, stages, memory = Rounds[Turn](), dict[str, Stage](), dict[str, int]()
    async with default_site() as built:
        grown = [one async for one in grow(built, triggers, events)]
        try:
            for name, one in grown:
                stage = await turns.attempt(name, begin(one, STARTS))
                if stage:
                    stages[name] = stage
            for _ in range(ROUNDS):
                for name, stage in stages.items():
                    await turns.take(name, stage.measure(seconds=seconds, due=due))
            memory = {name: memory_of_service(stage.built) for name, stage in stages.items()}
        finally:
            await end_replicas([one for _, one in grown])
    return [*shown(stages, turns, memory), *limits(stages, turns.medians(), memory)]


def shown(stages: Stages, turns: Rounds[Turn], memory: Mapping[str, int]) -> list[str]:
    found = turns.medians()
    base = next(iter(found.values()), None)
    rows = {
        name: (
            f"{1000 * stage.start.listening:,.0f}",
            f"{1000 * stage.start.ready:,.0f}",
            f"{1000 * stage.start.cpu:,.0f}",
            f"{stage.at_start / MIB:.0f} → {memory[name] / MIB:.0f}",
            f"{found[name].calls:,.0f}",
            f"{found[name].p50:.1f}",
            f"{found[name].p99:.1f}",
            f"{found[name].scheduled:,.0f}",
            f"{base.calls / found[name].calls:.2f}×, {base.scheduled / found[name].scheduled:.2f}×",
        )
        for name, stage in stages.items()
        if base and name in found
    }
    heads = (
        "listens ms",
        "ready ms",
        "CPU ms",
        "memory MiB",
        "calls/s",
        "p50",
        "p99",
        "due/s",
        "cost of each",
    )
    title = f"as triggers and events grow, {CALLERS} callers"
    return table(title, heads, rows, turns.failed)


def limits(stages: Stages, found: Mapping[str, Turn], memory: Mapping[str, int]) -> Iterator[str]:
    turns, every = list(found.values()), list(memory.values())
    yield at_most(
        "ready once it listens, whatever there is",
        max(
            (1000 * (one.start.ready - one.start.listening) for one in stages.values()),
            default=None,
        ),
        1000,
        " ms",
    )
    yield at_most(
        "CPU of a start, until it is ready",
        max((1000 * one.start.cpu for one in stages.values()), default=None),
        950,
        " ms",
    )
    yield at_most("memory of a process", max(every) / MIB if every else None, 100, " MiB")
    yield at_most("memory, beside the fewest triggers", _most(every), FLAT, "×")
    yield at_most("a call, beside the fewest", _most([1 / one.calls for one in turns]), FLAT, "×")
    yield at_most(
        "a firing, beside the fewest", _most([1 / one.scheduled for one in turns]), FLAT, "×"
    )


def _most(costs: Sequence[float]) -> float | None:
    """Returns the greatest of the costs as a multiple of the first."""
    return max(costs) / costs[0] if costs else None
