"""Measures storms of ours and of peers in one run: a durable row for each of very many jobs.

APScheduler reads all due jobs before it runs the first, so it is timed from the due instant, like
ours. The queues start with jobs that are long due, and are timed from their first row to the last:
neither their start nor their polling counts.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.limits import at_least
from bench.peer import GRAPHILE_LEFT_OUT, Peer, Work, blank_database, has_graphile, worked_off
from bench.storm import measure_bare, measure_service
from tests.faults.site import Site, site

_COUNTED = """
    SELECT count(*) AS rows, count(DISTINCT trigger_id) AS jobs,
        coalesce(extract(epoch FROM max(triggered_at) - min(scheduled_for)), 0) AS since_due,
        coalesce(extract(epoch FROM max(triggered_at) - min(triggered_at)), 0) AS since_first,
        coalesce(extract(epoch FROM min(scheduled_for)), 0) AS due_at
    FROM events
"""


@dataclass(frozen=True)
class Storm:
    """The number of jobs, of those that ran, and jobs a second."""

    count: int
    ran: int
    per_second: float


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
    return Storm(count, count, count / float(found["since_first"]))


async def measure_scheduler(built: Site, blank: str, peer: Peer, count: int) -> Storm:
    work = Work(count, ahead=2 + count / 5_000, patience=10 + count / 4_000)
    async with worked_off(built, blank, peer, work) as (database, began):
        found = await database.fetchrow(_COUNTED)
    if not found["rows"]:
        return Storm(count, 0, 0.0)
    assert began < found["due_at"], f"{peer.name} began too late"
    return Storm(count, found["jobs"], found["jobs"] / float(found["since_due"]))


async def measure_others(built: Site, blank: str, count: int, *, quick: bool) -> dict[str, Storm]:
    """Measures each peer once; slow ones get fewer jobs."""
    found = {
        IN_MEMORY.name: await measure_scheduler(built, blank, IN_MEMORY, count // 4),
        IN_SQL_STORE.name: await measure_scheduler(built, blank, IN_SQL_STORE, count // 40),
        PGQUEUER.name: await measure_queue(built, blank, PGQUEUER, count // 10),
        PROCRASTINATE.name: await measure_queue(built, blank, PROCRASTINATE, count // 40),
    }
    if not quick:
        found[DEFAULT_GRACE.name] = await measure_scheduler(built, blank, DEFAULT_GRACE, count)
    return found


async def measure_ours(built: Site, count: int) -> dict[str, float]:
    """Measures our service, in a new process for each storm."""
    found = {"the three bare statements": await measure_bare(built, count)}
    await built.start(1)
    found |= {kind: await measure_service(built, kind, count) for kind in ("interval", "cron")}
    await built.replicas[-1].end()
    return found


async def measure_graphile(
    built: Site, blank: str, peers: tuple[Peer, ...], count: int
) -> dict[Peer, Storm]:
    return {peer: await measure_queue(built, blank, peer, count) for peer in peers}


async def report_storm(*, count: int, rounds: int, quick: bool = False) -> list[str]:
    """Reports medians of interleaved rounds: bare, ours, and graphile-worker's fastest settings.

    `quick` also leaves out some peers.
    """
    each = count // (10 if quick else 4)  # for graphile-worker
    found: dict[str, list[float]] = {}
    tried: dict[Peer, Storm] = {}
    best: tuple[Peer, ...] = ()
    async with site() as built:
        blank = await blank_database(built)
        if has_graphile():
            tried = await measure_graphile(
                built, blank, GRAPHILE_WORKERS[2:4] if quick else GRAPHILE_WORKERS, each
            )
            best = (max(tried, key=lambda peer: tried[peer].per_second),)
        for _ in range(rounds):
            speeds = await measure_ours(built, count)
            graphile = await measure_graphile(built, blank, best, 2 * each)
            speeds |= {peer.name: storm.per_second for peer, storm in graphile.items()}
            for name, speed in speeds.items():
                found.setdefault(name, []).append(speed)
        others = {peer.name: storm for peer, storm in tried.items()}
        others |= await measure_others(built, blank, count, quick=quick)
    medians = {name: statistics.median(speeds) for name, speeds in found.items()}
    return [
        f"{count:,} triggers due at one instant, one replica, medians of {rounds}"
        f" ({2 * each:,} for graphile-worker):",
        *shown(medians),
        "  peers once, with a row of our log for each job:",
        *(
            f"  {name:<46}{storm.per_second:>10,.0f} /s{storm.ran:>10,} of {storm.count:,}"
            for name, storm in others.items()
        ),
        *limits(medians, best),
    ]


def shown(medians: dict[str, float]) -> Iterator[str]:
    bare = medians["the three bare statements"]
    for name, speed in medians.items():
        yield f"  {name:<46}{speed:>10,.0f} /s{speed / bare:>8.2f} of the bare ones"


def limits(medians: dict[str, float], best: tuple[Peer, ...]) -> Iterator[str]:
    interval, cron = medians["interval"], medians["cron"]
    if best:
        ratio = interval / medians[best[0].name]
        yield at_least("interval beside graphile-worker's best", ratio, 5, "×")
    else:
        yield f"  {GRAPHILE_LEFT_OUT}"
    bare = medians["the three bare statements"]
    yield at_least("interval beside the bare statements", interval / bare, 0.5, "×")
    yield at_least("cron beside interval", cron / interval, 0.6, "×")
