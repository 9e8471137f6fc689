"""Measures the lateness of 50 due triggers a second among very many that are due much later.

Lateness is the time from the due instant to the commit by the server's clock
(`track_commit_timestamp`: when the commit is written, before the disk confirms it). Ours is also
shown up to the start of its transaction, which is the event's `triggered_at`. The first two seconds
do not count.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from bench.gauges import connected
from bench.limits import at_most
from bench.peer import GRAPHILE_LEFT_OUT, Peer, Work, blank_database, has_graphile, worked_off
from bench.planned import make_owners, plant_due, plant_idle
from bench.storm_peers import IN_MEMORY, IN_SQL_STORE, PGQUEUER
from tests.faults.site import Site, site

PER_SECOND = 50
WARM_UP = 2  # seconds more before those that count
AHEAD = 6.0  # seconds from the planting to the first instant
PEERS = (
    IN_MEMORY,
    IN_SQL_STORE,
    replace(
        PGQUEUER,
        name="pgqueuer, looks every 0.1 s",
        options={"batch_size": 10, "looks_every": 0.1},
    ),
)
GRAPHILE_WORKERS = (
    Peer("graphile-worker, polls every 2 s", "graphile_worker.mjs", {"worker": {}}),
    Peer(
        "graphile-worker, polls every 0.1 s",
        "graphile_worker.mjs",
        {"worker": {"pollInterval": 100, "concurrentJobs": 10}},
    ),
)
_LATE = """
    SELECT count(*) AS fired,
        percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY 1000 * extract(epoch
            FROM pg_xact_commit_timestamp(xmin) - scheduled_for)::float8) AS committed,
        percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY 1000 * extract(epoch
            FROM triggered_at - scheduled_for)::float8) AS triggered
    FROM events WHERE scheduled_for >= $1
"""


@dataclass(frozen=True)
class Late:
    """Median and 99th percentile of the lateness (ms)."""

    p50: float
    p99: float


@asynccontextmanager
async def site_that_times_commits() -> AsyncIterator[Site]:
    async with site() as built:
        async with connected(built) as database:
            await database.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        built.postgres.stop()
        built.postgres.start()
        yield built


async def measure_ours(
    built: Site, owners: list[int], *, idle: int, seconds: int
) -> tuple[Late, Late]:
    """Returns the lateness of the commit and of the transaction's start, over all shards."""
    count = PER_SECOND * (WARM_UP + seconds)
    async with connected(built) as database:
        await database.execute("TRUNCATE triggers CASCADE")
        await database.execute("TRUNCATE events")
        await plant_idle(database, owners, idle)
        await built.start(1)
        first = datetime.now(UTC) + timedelta(seconds=3)
        await plant_due(database, owners, count, first, every=1 / PER_SECOND)
        assert datetime.now(UTC) < first, "planting took too long"
        await asyncio.sleep(3 + WARM_UP + seconds + 1)
        found = await database.fetchrow(_LATE, first + timedelta(seconds=WARM_UP))
    await built.replicas[-1].end()
    assert found["fired"] == PER_SECOND * seconds, f"{found['fired']} fired"
    return Late(*found["committed"]), Late(*found["triggered"])


async def measure_peer(built: Site, blank: str, peer: Peer, *, idle: int, seconds: int) -> Late:
    count = PER_SECOND * (WARM_UP + seconds)
    work = Work(count, every=1 / PER_SECOND, ahead=AHEAD, idle=idle)
    async with worked_off(built, blank, peer, work) as (database, began):
        first = await database.fetchval("SELECT min(scheduled_for) FROM events")
        found = await database.fetchrow(_LATE, first + timedelta(seconds=WARM_UP))
    assert began < first.timestamp(), f"{peer.name} began too late"
    assert found["fired"] == PER_SECOND * seconds, f"{peer.name}: {found['fired']} fired"
    return Late(*found["committed"])


async def report_lateness(*, seconds: int, idle: tuple[int, ...], quick: bool = False) -> list[str]:
    """Measures ours with each number of idle triggers, and the peers with the first number.

    `quick` also leaves out some peers.
    """
    queues = GRAPHILE_WORKERS if has_graphile() else ()
    peers = PEERS[:1] + queues[:1] if quick else PEERS + queues
    lines = [
        f"late at {PER_SECOND}/s for {seconds} s, until the commit:{'p50 ms':>21}{'p99 ms':>10}"
    ]
    async with site_that_times_commits() as built:
        blank = await blank_database(built)
        async with connected(built) as database:
            owners = await make_owners(database)
        for count in idle:
            ours, triggered = await measure_ours(built, owners, idle=count, seconds=seconds)
            lines += [
                line(f"ours, {count:,} idle", ours),
                line("  until its transaction began", triggered),
            ]
        for peer in peers:
            theirs = await measure_peer(built, blank, peer, idle=idle[0], seconds=seconds)
            lines.append(line(f"{peer.name}, {idle[0]:,} idle", theirs))
    return [
        *lines,
        *([] if has_graphile() else [f"  {GRAPHILE_LEFT_OUT}"]),
        at_most(f"p50 with {idle[-1]:,} idle", ours.p50, 3, " ms"),
        at_most(f"p99 with {idle[-1]:,} idle", ours.p99, 10, " ms"),
    ]


def line(name: str, late: Late) -> str:
    return f"  {name:<52}{late.p50:>10.1f}{late.p99:>10.1f}"
