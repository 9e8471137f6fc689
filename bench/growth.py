"""Measures how memory, calls and scheduled firings change with more triggers and events."""

import asyncio
import statistics
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import make_url

from bench.gauges import MIB, connected, memory_of_service
from bench.large_log import sweep_all
from bench.limits import at_most
from bench.load import Measured, load, post
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from tests.faults.site import Site, site
from tests.support.databases import create_database
from tests.support.services import ADA, token_of

CALLED = 10_000  # triggers that are called in turn, of all
CALLERS, ROUNDS, HOURS = 32, 5, 47
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


@dataclass(frozen=True)
class Cost:
    """Memory at the start and at the end (bytes), a call (ms), and scheduled firings a second."""

    at_start: int
    afterwards: int
    call: Measured
    scheduled: float


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


@dataclass(frozen=True)
class Stage:
    """A database of one size, and the one replica that serves it."""

    built: Site
    requests: list[bytes]
    at_start: int
    calls: list[Measured] = field(default_factory=list)
    scheduled: list[float] = field(default_factory=list)

    @property
    def cost(self) -> Cost:
        return Cost(
            self.at_start,
            memory_of_service(self.built),
            sorted(self.calls, key=lambda one: one.per_second)[len(self.calls) // 2],
            statistics.median(self.scheduled),
        )

    async def measure(self, *, calls: int, due: int) -> None:
        url = self.built.replicas[-1].url
        self.calls.append(await load(url, self.requests, callers=CALLERS, count=calls))
        async with connected(self.built) as database:
            self.scheduled.append(await measure_scheduled(database, due))


async def begin(built: Site) -> Stage:
    await built.start(1)
    url = built.replicas[-1].url
    async with connected(built) as database:
        rows = await database.fetch(
            "SELECT id FROM triggers WHERE type = 'api' ORDER BY id LIMIT $1", CALLED // 2
        )
    requests = [post(f"{url}/triggers/{row['id']}/trigger", token_of(ADA), BODY) for row in rows]
    await load(url, requests, callers=CALLERS, count=500)  # to warm up
    return Stage(built, requests, memory_of_service(built))


async def measure_scheduled(database: Any, due: int) -> float:
    """Returns firings a second when `due` triggers are due at one instant."""
    soon = datetime.now(UTC) + timedelta(seconds=2 + due / 10_000)
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


def line(name: str, cost: Cost, first: Cost) -> str:
    call, slower = cost.call, first.call.per_second / cost.call.per_second
    return (
        f"  {name:<24}{cost.at_start / MIB:>7.0f} →{cost.afterwards / MIB:>4.0f} MiB"
        f"{cost.afterwards / first.afterwards:>6.2f}×{call.per_second:>9,.0f} /s{slower:>6.2f}×"
        f"{call.p50:>7.1f}{call.p99:>7.1f} ms{cost.scheduled:>10,.0f} /s"
        f"{first.scheduled / cost.scheduled:>6.2f}×"
    )


def most(costs: dict[str, Cost], of: Callable[[Cost], float]) -> float:
    """Returns the greatest of the costs as a multiple of the first."""
    first, *_ = every = [of(cost) for cost in costs.values()]
    return max(every) / first


async def grow(
    built: Site, triggers: Sequence[int], events: int
) -> AsyncIterator[tuple[str, Site]]:
    """Yields a database for each size; the last one also has the events."""
    planted = 0
    for count in triggers:
        await plant_triggers(built, first=planted + 1, last=count)
        grown = await copy_of(built)
        yield f"{count:,} triggers", grown
        planted = count
    if events:
        await plant_events(built, count=events)
        yield f"and {events:,} events", built


async def copy_of(built: Site) -> Site:
    url = await create_database(built.postgres.url, template=str(make_url(built.url).database))
    return replace(built, url=url, replicas=[])


async def report_growth(
    *,
    triggers: Sequence[int] = (10_000, 100_000, 1_000_000),
    events: int = 3_000_000,
    calls: int = 4_000,
    due: int = 5_000,
) -> list[str]:
    """Measures all sizes in turn on one PostgreSQL; the ratios compare with the first line's."""
    assert due <= triggers[0] // 2, "there are too few triggers"
    async with site() as built:
        grown = [one async for one in grow(built, triggers, events)]
        try:
            stages = {name: await begin(one) for name, one in grown}
            for _ in range(ROUNDS):
                for stage in stages.values():
                    await stage.measure(calls=calls, due=due)
            costs = {name: stage.cost for name, stage in stages.items()}
        finally:
            for _, one in grown:
                for number in range(len(one.replicas)):
                    one.kill(number)
    first = next(iter(costs.values()))
    head = f"  {'':<24}{'memory, then':>17}{'':>7}{'called':>12}{'':>7}{'p50':>7}{'p99':>7}   "
    return [
        f"as triggers and events grow, one replica, {CALLERS} callers (×: the first line's cost):",
        f"{head}{'scheduled':>13}",
        *(line(name, cost, first) for name, cost in costs.items()),
        at_most(
            "memory, beside the fewest triggers", most(costs, lambda one: one.afterwards), FLAT, "×"
        ),
        at_most(
            "a call, beside the fewest", most(costs, lambda one: 1 / one.call.per_second), FLAT, "×"
        ),
        at_most(
            "a firing, beside the fewest", most(costs, lambda one: 1 / one.scheduled), FLAT, "×"
        ),
    ]
