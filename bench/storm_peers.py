"""Measures storms of ours and of peers in one run: a durable row for each of very many jobs.

APScheduler reads all due jobs before it runs the first, so it is timed from the due instant, like
ours. The queues start with jobs that are long due, and are timed from their first row to the last:
neither their start nor their polling counts.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from bench.peer import GRAPHILE_LEFT_OUT, Peer, Work, blank_database, has_graphile, worked_off
from bench.report import WITHIN, Rounds, at_least, ratio, table
from bench.served import default_site
from bench.storm import measure_bare, measure_service
from tests.faults.site import Site

BARE, ONE, TWO = "the three bare statements", "one replica", "two replicas"
ROUND_WITHIN, LARGE_WITHIN = 600.0, 900.0  # seconds
_COUNTED = """
    SELECT count(*) AS rows, count(DISTINCT trigger_id) AS jobs,
        coalesce(extract(epoch FROM max(triggered_at) - min(scheduled_for)), 0) AS since_due,
        coalesce(extract(epoch FROM max(triggered_at) - min(triggered_at)), 0) AS since_first,
        coalesce(extract(epoch FROM min(scheduled_for)), 0) AS due_at
    FROM events
"""


class Storm(NamedTuple):
    """Jobs a second, the number of those that ran, and of all."""

    per_second: float
    ran: int
    jobs: int


def graphile_worker(*, processes: int, jobs: int, queue: int = -1, complete: int = -1) -> Peer:
    """Configures graphile-worker with `jobs` at a time per process, and perhaps a local queue."""
    worker: dict[str, Any] = {"concurrentJobs": jobs, "maxPoolSize": 10}
    detail = f"{processes}×{jobs} jobs"
    if queue > 0:
        worker |= {"localQueue": {"size": queue}, "completeJobBatchDelay": complete}
        detail += f", queue {queue}, {complete} ms"
    options = {"worker": worker, "connections": 10}
    return Peer(f"graphile-worker, {detail}", "graphile_worker.mjs", options, processes)


GRAPHILE_WORKERS = (
    graphile_worker(processes=1, jobs=24),
    graphile_worker(processes=1, jobs=24, queue=500, complete=0),
    graphile_worker(processes=2, jobs=24, queue=500, complete=0),
    graphile_worker(processes=2, jobs=24, queue=500, complete=50),
    graphile_worker(processes=4, jobs=10, queue=500, complete=0),
)
IN_MEMORY = Peer(
    "APScheduler, memory (not durable)", "apscheduler_jobs", {"store": "memory"}, in_memory=True
)
DEFAULT_GRACE = Peer(
    "APScheduler, memory, default grace",
    "apscheduler_jobs",
    {"store": "memory", "default_grace": True},
    in_memory=True,
)
IN_SQL_STORE = Peer("APScheduler, SQL store", "apscheduler_jobs", {"store": "sql"})
PGQUEUER = Peer("pgqueuer, batches of 500", "pgqueuer_jobs", {"batch_size": 500, "looks_every": 1})
PROCRASTINATE = Peer("procrastinate, 20 at a time", "procrastinate_jobs", {"concurrency": 20})


async def measure_queue(built: Site, blank: str, peer: Peer, count: int) -> Storm:
    async with worked_off(built, blank, peer, Work(count)) as (database, _):
        found = await database.fetchrow(_COUNTED)
    assert found["rows"] == found["jobs"] == count, f"{peer.name}: {dict(found)}"
    return Storm(count / float(found["since_first"]), count, count)


async def measure_scheduler(built: Site, blank: str, peer: Peer, count: int) -> Storm:
    work = Work(count, ahead=10 + count / 1_500, patience=10 + count / 4_000)
    async with worked_off(built, blank, peer, work) as (database, began):
        found = await database.fetchrow(_COUNTED)
    if not found["rows"]:
        return Storm(0.0, 0, count)
    assert began < found["due_at"], "began too late"
    return Storm(found["jobs"] / float(found["since_due"]), found["jobs"], count)


async def measure_once(built: Site, blank: str, count: int, *, quick: bool) -> Rounds[Storm]:
    """Measures each peer once; slow ones get fewer jobs."""
    tried, each = Rounds[Storm](), count // 4
    for peer in GRAPHILE_WORKERS if has_graphile() else ():
        if not quick or peer in GRAPHILE_WORKERS[2:4]:
            await tried.take(peer.name, measure_queue(built, blank, peer, each))
    for peer in (IN_MEMORY, IN_SQL_STORE, *([] if quick else [DEFAULT_GRACE])):
        few = each // 10 if peer is IN_SQL_STORE else each
        await tried.take(peer.name, measure_scheduler(built, blank, peer, few))
    for peer, few in ((PGQUEUER, each // 3), (PROCRASTINATE, each // 10)):
        await tried.take(peer.name, measure_queue(built, blank, peer, few))
    return tried


async def measure_bare_and_one(
    built: Site, speeds: Rounds[float], count: int, within: float = WITHIN
) -> float:
    """Measures the bare statements and a replica; returns how far ahead instants must be (s)."""
    bare = await measure_bare(built, count)
    speeds.add(BARE, bare.per_second)
    ahead = 2 + 1.5 * bare.planting
    await built.start(1)
    fired = await speeds.attempt(ONE, measure_service(built, count, ahead=ahead), within=within)
    speeds.add(ONE, fired and fired.per_second)
    return ahead


async def measure_ours(built: Site, speeds: Rounds[float], count: int) -> None:
    """Measures a new process, and then a second replica beside it."""
    ahead = await measure_bare_and_one(built, speeds, count)
    await built.start(1)
    fired = await speeds.attempt(TWO, measure_service(built, count, ahead=ahead))
    speeds.add(TWO, fired and fired.per_second)


async def report_storm(*, count: int, rounds: int, quick: bool = False) -> list[str]:
    """Reports medians of interleaved rounds: bare, ours, and graphile-worker's fastest settings.

    `quick` also leaves out some peers.
    """
    speeds = Rounds[float]()
    async with default_site() as built:
        blank = await blank_database(built)
        tried = await measure_once(built, blank, count, quick=quick)
        best = best_graphile(tried)
        for _ in range(rounds):
            await speeds.attempt("a round", measure_ours(built, speeds, count), within=ROUND_WITHIN)
            await built.end()
            if best:
                storm = await speeds.attempt(
                    best.name, measure_queue(built, blank, best, count // 2)
                )
                speeds.add(best.name, storm.per_second if storm else None)
    title = f"{count:,} triggers due at one instant, medians of {rounds} (half for the peer)"
    return [*shown(speeds, title), *shown_once(tried), *limits(speeds.medians(), best)]


def best_graphile(tried: Rounds[Storm]) -> Peer | None:
    found = tried.medians()
    worked = [peer for peer in GRAPHILE_WORKERS if peer.name in found]
    return max(worked, key=lambda peer: found[peer.name].per_second, default=None)


def shown(speeds: Rounds[float], title: str) -> list[str]:
    found = speeds.medians()
    bare = found.get(BARE)
    rows = {
        name: (f"{speed:,.0f}", f"{speed / bare:.2f}" if bare else "")
        for name, speed in found.items()
    }
    return table(title, ("/s", "of the bare ones"), rows, speeds.failed)


def shown_once(tried: Rounds[Storm]) -> list[str]:
    rows = {
        name: (f"{storm.per_second:,.0f}", f"{storm.ran:,.0f}", f"{storm.jobs:,.0f}")
        for name, storm in tried.medians().items()
    }
    return table(
        "  peers once, a row of our log for each job", ("/s", "ran", "of"), rows, tried.failed
    )


def limits(medians: dict[str, float], best: Peer | None) -> Iterator[str]:
    one = medians.get(ONE)
    if has_graphile():
        faster = ratio(one, medians.get(best.name) if best else None)
        yield at_least(f"{ONE} beside graphile-worker's best", faster, 5, "×")
    else:
        yield f"  {GRAPHILE_LEFT_OUT}"
    yield at_least(f"{ONE} beside the bare statements", ratio(one, medians.get(BARE)), 0.5, "×")


async def report_large_storm(*, count: int) -> list[str]:
    """Measures one storm of very many triggers, each of which fires once."""
    speeds = Rounds[float]()
    async with default_site() as built:
        measured = measure_bare_and_one(built, speeds, count, within=LARGE_WITHIN)
        await speeds.attempt(BARE, measured, within=LARGE_WITHIN)
        await built.end()
    found = speeds.medians()
    beside = ratio(found.get(ONE), found.get(BARE))
    return [
        *shown(speeds, f"{count:,} triggers due at one instant, once"),
        at_least(f"{count:,} at once, beside the bare statements", beside, 0.7, "×"),
    ]
