"""Measures the lateness of due triggers, so many a second, among very many that are due much later.

Lateness is the time from the due instant to the commit by the server's clock
(`track_commit_timestamp`: when the commit is written, before the disk confirms it). Ours is also
shown up to the start of its transaction, which is the event's `triggered_at`. The first two seconds
do not count.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bench.gauges import connected
from bench.peer import GRAPHILE_LEFT_OUT, Peer, Work, blank_database, has_graphile, worked_off
from bench.planned import plant_due, plant_idle
from bench.report import Rounds, at_most, table
from bench.served import add_owners, default_site
from bench.storm_peers import IN_MEMORY, IN_SQL_STORE, PGQUEUER
from tests.faults.site import Site

Rates = Sequence[int]  # due triggers a second
PER_SECOND, BUSY = 50, 500  # due triggers a second: of the peers too, and with a limit of its own
WARM_UP = 2  # seconds more before those that count
AHEAD = 15.0  # seconds from the planting to a peer's first instant
PEERS = (
    IN_MEMORY,
    IN_SQL_STORE,
    replace(
        PGQUEUER,
        name="pgqueuer, looks every 0.1 s",
        options={"batch_size": 10, "looks_every": 0.1},
    ),
)
GRAPHILE_WORKER = Peer(
    "graphile-worker, polls every 0.1 s",
    "graphile_worker.mjs",
    {"worker": {"pollInterval": 100, "concurrentJobs": 10}},
)
_FIRED = "SELECT count(*) FROM events WHERE scheduled_for >= $1"
_LATE = """
    SELECT count(*) AS fired,
        percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY 1000 * extract(epoch
            FROM pg_xact_commit_timestamp(xmin) - scheduled_for)::float8) AS committed,
        percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY 1000 * extract(epoch
            FROM triggered_at - scheduled_for)::float8) AS triggered
    FROM events WHERE scheduled_for >= $1
"""


class Late(NamedTuple):
    """Median and 99th percentile of the lateness (ms)."""

    p50: float
    p99: float


class Ours(NamedTuple):
    """The lateness (ms) of the commit, and of the start of its transaction."""

    p50: float
    p99: float
    began_p50: float
    began_p99: float


@asynccontextmanager
async def site_that_times_commits() -> AsyncIterator[Site]:
    async with default_site() as built:
        async with connected(built) as database:
            await database.execute("ALTER SYSTEM SET track_commit_timestamp = on")
        built.postgres.stop()
        built.postgres.start()
        yield built


async def measure_ours(built: Site, owners: list[int], *, per_second: int, seconds: int) -> Ours:
    """Plants due triggers of all shards beside the idle ones, and waits until all have fired."""
    count = per_second * (WARM_UP + seconds)
    async with connected(built) as database:
        await database.execute("TRUNCATE events")
        first = datetime.now(UTC) + timedelta(seconds=3 + count / 4_000)
        await plant_due(database, owners, count, first, every=1 / per_second)
        assert datetime.now(UTC) < first, "planting took too long"
        wait = (first - datetime.now(UTC)).total_seconds()
        await asyncio.sleep(wait + WARM_UP + seconds)
        while await database.fetchval(_FIRED, first) < count:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        found = await database.fetchrow(_LATE, first + timedelta(seconds=WARM_UP))
    assert found["fired"] == per_second * seconds, f"{found['fired']} fired"
    return Ours(*found["committed"], *found["triggered"])


async def measure_rates(
    built: Site, owners: list[int], rounds: Rounds[Ours], *, idle: int, rates: Rates, seconds: int
) -> None:
    """Measures several rates, one after the other, in one process."""
    async with connected(built) as database:
        await database.execute("TRUNCATE triggers CASCADE")
        await plant_idle(database, owners, idle)
    await built.start(1)
    for rate in rates:
        name = f"ours, {rate:,}/s, {idle:,} idle"
        await rounds.take(name, measure_ours(built, owners, per_second=rate, seconds=seconds))
    await built.replicas[-1].end()


async def measure_peer(built: Site, blank: str, peer: Peer, *, idle: int, seconds: int) -> Late:
    count = PER_SECOND * (WARM_UP + seconds)
    work = Work(count, every=1 / PER_SECOND, ahead=AHEAD, idle=idle)
    async with worked_off(built, blank, peer, work) as (database, began):
        first = await database.fetchval("SELECT min(scheduled_for) FROM events")
        found = await database.fetchrow(_LATE, first + timedelta(seconds=WARM_UP))
    assert began < first.timestamp(), "began too late"
    assert found["fired"] == PER_SECOND * seconds, f"{found['fired']} fired"
    return Late(*found["committed"])


async def report_lateness(
    *, seconds: int, idle: Mapping[int, Rates], quick: bool = False
) -> list[str]:
    """Measures ours with each number of idle triggers, and the peers with the first number.

    `quick` also leaves out some peers.
    """
    peers: tuple[Peer, ...] = PEERS[:1] if quick else PEERS
    peers += (GRAPHILE_WORKER,) if has_graphile() else ()
    ours, theirs = Rounds[Ours](), Rounds[Late]()
    async with site_that_times_commits() as built:
        owners = await add_owners(built.url)
        blank = await blank_database(built)
        for count, rates in idle.items():
            await measure_rates(built, owners, ours, idle=count, rates=rates, seconds=seconds)
        for peer in peers:
            name = f"{peer.name}, {PER_SECOND}/s, {next(iter(idle)):,} idle"
            taken = measure_peer(built, blank, peer, idle=next(iter(idle)), seconds=seconds)
            await theirs.take(name, taken)
    return [*shown(ours, theirs, seconds), *limits(ours.medians(), *[*idle.items()][-1])]


def shown(ours: Rounds[Ours], theirs: Rounds[Late], seconds: int) -> list[str]:
    rows = {
        name: [f"{one:,.1f}" for one in late] + [""] * (4 - len(late))
        for name, late in {**ours.medians(), **theirs.medians()}.items()
    }
    heads = ("p50 ms", "p99 ms", "until it began: p50", "p99")
    title = f"late for {seconds} s, until the commit"
    lines = table(title, heads, rows, ours.failed | theirs.failed)
    return lines if has_graphile() else [*lines, f"  {GRAPHILE_LEFT_OUT}"]


def limits(found: Mapping[str, Ours], idle: int, rates: Rates) -> Iterator[str]:
    for rate in rates:
        late = found.get(f"ours, {rate:,}/s, {idle:,} idle")
        p50, p99 = (None, None) if late is None else (late.p50, late.p99)
        if rate == PER_SECOND:
            yield at_most(f"p50 at {rate}/s with {idle:,} idle", p50, 3, " ms")
            yield at_most(f"p99 at {rate}/s with {idle:,} idle", p99, 10, " ms")
        if rate == BUSY:
            yield at_most(f"p99 at {rate}/s with {idle:,} idle", p99, 5, " ms")
