"""Runs ten minutes with a retention of seconds: purging keeps up, and no instant is lost."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from bench.doors import plain_calls
from bench.gauges import MIB, connected, memory_of_postgres, memory_of_service, wal_of
from bench.load import paced, post
from bench.receiver import receiver
from bench.report import at_most, table
from bench.served import default_site
from event_trigger.events.partitions import Partition
from tests.faults.checker import Grid
from tests.faults.site import Site
from tests.support.services import ADA, token_of
from tests.support.triggers import make_api
from tests.support.waiting import eventually

SCHEDULED = 300  # triggers that fire every second
CALLS, DELIVERED = 60, 20  # a second: calls, and calls that are delivered
SETTINGS = {
    "EVENT_TRIGGER_ACTIVE_FOR": "PT10S",
    "EVENT_TRIGGER_KEEP_FOR": "PT40S",
    "EVENT_TRIGGER_RETENTION_INTERVAL": "PT5S",
    "EVENT_TRIGGER_WEBHOOK_ALLOW": "127.0.0.0/8",
}
KEPT = 40  # seconds
CHECK_EVERY = 5.0  # seconds
HOT = ("events", "triggers", "deliveries")
_PLANT = """
    INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at, next_fire_at,
        settled_until, in_force_after, payload)
    SELECT $1::bigint % 64, $1, 'scheduled',
        '{"interval": "PT1S", "recurring": true, "catch_up": "all"}', '{}', 'active', first_at,
        first_at, first_at - interval '1 s', first_at - interval '1 s', '{"padding": "xxxxxxxx"}'
    FROM generate_series(1, $2::int) AS number,
        LATERAL (SELECT date_trunc('second', now()) + interval '3 s'
            + number * interval '1 s' / $2::int) AS made (first_at)
    RETURNING id, next_fire_at
"""
# one line for all partitions of events, and one for all system catalogs
_TABLES = """
    SELECT CASE WHEN relname LIKE 'events_p%' THEN 'events' ELSE relname END AS name,
        sum(pg_total_relation_size(relid))::bigint AS size, sum(n_dead_tup)::bigint AS dead,
        sum(n_live_tup)::bigint AS live
    FROM pg_stat_user_tables WHERE relname <> 'alembic_version' GROUP BY 1
    UNION ALL
    SELECT 'catalogues', sum(pg_total_relation_size(relid))::bigint, sum(n_dead_tup)::bigint,
        sum(n_live_tup)::bigint
    FROM pg_stat_sys_tables WHERE schemaname = 'pg_catalog'
"""


@dataclass(frozen=True)
class Table:
    size: int
    dead: int
    live: int


@dataclass(frozen=True)
class Snapshot:
    """Memory and table sizes (bytes) after so many seconds."""

    after: float
    service: int
    postgres: int
    tables: dict[str, Table]


class Verdict(NamedTuple):
    """Counts of planned instants: all, those without an event, and those with too many."""

    planned: int
    missing: int
    twice: int


@dataclass
class Watched:
    """The planned instants, the scheduled events that were seen (by id), and the snapshots."""

    grids: dict[int, Grid]
    seen: dict[int, tuple[int, datetime]] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)


async def plant(database: Any) -> dict[int, Grid]:
    rows = await database.fetch(_PLANT, ADA, SCHEDULED)
    return {row["id"]: Grid(row["next_fire_at"]) for row in rows}


async def drop_partitions(database: Any) -> None:
    """Drops a new database's partitions: they are an hour wide, and would take all events."""
    rows = await database.fetch("DELETE FROM event_partitions RETURNING starts_at, ends_at")
    for row in rows:
        await database.execute(f"DROP TABLE {Partition(row['starts_at'], row['ends_at']).table}")


async def take_snapshot(built: Site, database: Any, began: float) -> Snapshot:
    rows = await database.fetch(_TABLES)
    tables = {row["name"]: Table(row["size"], row["dead"], row["live"]) for row in rows}
    service, postgres = memory_of_service(built), memory_of_postgres()
    return Snapshot(time.monotonic() - began, service, postgres, tables)


async def watch(built: Site, database: Any, watched: Watched, until: float) -> None:
    """Reads the events often enough to see each of them before it is purged."""
    began = time.monotonic()
    while time.monotonic() < until:
        await collect(database, watched)
        watched.snapshots.append(await take_snapshot(built, database, began))
        await asyncio.sleep(CHECK_EVERY)


async def collect(database: Any, watched: Watched) -> None:
    rows = await database.fetch(
        "SELECT id, trigger_id, scheduled_for FROM events"
        " WHERE type = 'scheduled' AND triggered_at > now() - $1::interval",
        timedelta(seconds=3 * CHECK_EVERY),
    )
    watched.seen |= {row["id"]: (row["trigger_id"], row["scheduled_for"]) for row in rows}


async def check(database: Any, watched: Watched) -> Verdict:
    """Compares the planned instants with the events that were seen."""
    fired = Counter(watched.seen.values())
    settled = await database.fetch("SELECT id, settled_until FROM triggers WHERE type='scheduled'")
    planned = {
        (row["id"], instant)
        for row in settled
        for instant in watched.grids[row["id"]].until(row["settled_until"])
    }
    twice = sum(count > 1 for count in fired.values())
    unplanned = len(fired.keys() - planned)
    return Verdict(len(planned), len(planned - fired.keys()), twice + unplanned)


async def requests_that_are_delivered(built: Site, url: str) -> list[bytes]:
    async with built.client() as client:
        body = {"url": url, "max_concurrency": 20}
        destination = (await client.post("/destinations", json=body)).json()["id"]
        made = await make_api(client, destinations=[destination])
    where = f"{built.replicas[0].url}/triggers/{made['id']}/trigger"
    return [post(where, token_of(ADA), b"{}")]


async def soak(built: Site, receiver_url: str, seconds: int) -> tuple[Watched, int, Verdict]:
    """Returns the observations, the bytes of WAL, and the counts of missing and double events."""
    async with connected(built) as database:
        await drop_partitions(database)
    await built.start(1)
    url = built.replicas[0].url
    called = await plain_calls(built)
    delivered = await requests_that_are_delivered(built, receiver_url)
    async with connected(built) as database, connected(built) as watching:
        watched = Watched(await plant(database))
        until = time.monotonic() + seconds
        async with wal_of(database) as wal, asyncio.TaskGroup() as group:
            group.create_task(watch(built, watching, watched, until))
            for requests, rate in ((called, CALLS), (delivered, DELIVERED)):
                group.create_task(
                    paced(url, requests, per_second=rate, count=rate * seconds, callers=16)
                )
        await database.execute("UPDATE triggers SET status = 'paused', next_fire_at = NULL")
        await eventually(
            lambda: database.fetchval(
                "SELECT count(*) FROM deliveries WHERE status <> 'delivered'"
            ),
            lambda left: left == 0,
        )
        await collect(database, watched)
        verdict = await check(database, watched)
    return watched, wal.written, verdict


def chosen_snapshots(snapshots: Sequence[Snapshot]) -> list[Snapshot]:
    """Returns the first snapshot after a full retention period, a middle one, and the last."""
    full = [one for one in snapshots if one.after > KEPT + CHECK_EVERY] or list(snapshots)
    return [full[0], full[len(full) // 2], full[-1]]


async def report_soak(*, seconds: int = 600) -> list[str]:
    with receiver() as receiver_url:
        async with default_site(SETTINGS) as built:
            watched, wal, verdict = await soak(built, receiver_url, seconds)
    events = len(watched.seen) + (CALLS + DELIVERED) * seconds
    shown = chosen_snapshots(watched.snapshots)
    rows = {
        "memory of the service": [f"{one.service / MIB:.0f} MiB" for one in shown],
        "memory of PostgreSQL": [f"{one.postgres / MIB:.0f} MiB" for one in shown],
    }
    for name in sorted(shown[-1].tables):
        if shown[-1].tables[name].size >= MIB / 4:
            rows[name] = [shown_table(one.tables.get(name)) for one in shown]
    return [
        f"{seconds} s with events kept for {KEPT} s: {SCHEDULED} scheduled, {CALLS + DELIVERED}"
        f" called, {DELIVERED} delivered a second:",
        f"  {wal / events:,.0f} bytes of WAL for an event, all else that was written included",
        *table("size and dead rows after", [f"{one.after:.0f} s" for one in shown], rows),
        "  the largest ever seen: "
        + ", ".join(f"{name} {largest(watched.snapshots, name)}" for name in HOT),
        at_most(f"missing of {verdict.planned:,} planned instants", verdict.missing, 0),
        at_most("fired twice or unplanned", verdict.twice, 0),
    ]


def shown_table(table: Table | None) -> str:
    return "-" if table is None else f"{table.size / MIB:.1f} MiB {table.dead:,}"


def largest(snapshots: Sequence[Snapshot], name: str) -> str:
    size = max(one.tables[name].size for one in snapshots if name in one.tables)
    return f"{size / MIB:.1f} MiB"
