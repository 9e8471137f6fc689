"""A million events go while calls come: beside a plain DELETE of as many rows from a plain table."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.fire import requests_to_ours
from bench.gauges import MIB, connected, wal_of
from bench.load import Call, paced, quantile
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.partitions import Partition
from event_trigger.events.retention import Partitions, purge
from tests.faults.site import Site, site
from tests.support.services import ADA, make_settings
from tests.support.waiting import eventually

PER_SECOND, BEFORE, AFTER = 500, 10, 10  # calls, seconds
AROUND = 1.0  # seconds before and after a purge in which it might be felt
TRIGGERS = 10_000  # that the expired events are of
SWEEP = {"EVENT_TRIGGER_RETENTION_INTERVAL": "PT2S"}
_ROWS = """
    INSERT INTO {table} (shard, owner_id, trigger_id, type, triggered_at, payload, is_test)
    SELECT $1::bigint % 64, $1, 1000000 + number % $2, 'api',
        $3::timestamptz + number * interval '1 h' / $4, '{{"padding": "xxxxxxxx"}}', false
    FROM generate_series(1, $4 - 1) AS number
"""
# who deletes a partition's row does it in the transaction that drops the partition: as the last
# thing before its commit this says how long that has taken
_WATCH = """
    CREATE TABLE purges (began_at timestamptz, ended_at timestamptz);
    CREATE FUNCTION watch_purge() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO purges VALUES (now(), clock_timestamp());
        RETURN NULL;
    END $$;
    CREATE CONSTRAINT TRIGGER watch AFTER DELETE ON event_partitions
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION watch_purge();
"""


@dataclass(frozen=True)
class Gone:
    """How long it took until so many rows were gone (s), and what it wrote (bytes of WAL)."""

    took: float
    wal: int


@dataclass(frozen=True)
class Felt:
    """A purge by the running service: its transaction, and the calls meanwhile."""

    began_at: float
    took: float
    calls: list[Call]

    @property
    def around(self) -> list[Call]:
        since, until = self.began_at - AROUND, self.began_at + self.took + AROUND
        return [one for one in self.calls if since <= one.due_at <= until]


async def plant(built: Site, database: Any, *, count: int) -> Partition:
    """A partition of so many events that is not past keeping yet, though nearly."""
    settings = make_settings(built.url)
    starts_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - settings.keep_for
    partition = Partition(starts_at + timedelta(hours=1), starts_at + timedelta(hours=2))
    engine = create_engine(built.url)
    async with create_sessions(engine).begin() as session:
        await Partitions(session).add(partition)
    await engine.dispose()
    await _fill(database, "events", partition.starts_at, count)
    return partition


async def _fill(database: Any, table: str, starts_at: datetime, count: int) -> None:
    await database.execute(_ROWS.format(table=table), ADA, TRIGGERS, starts_at, count + 1)
    await database.execute(f"VACUUM ANALYZE {table}")
    await database.execute("CHECKPOINT")


async def expire(database: Any, partition: Partition, *, seconds: int) -> None:
    """Lets it end so many seconds before it is past keeping, whatever is in it."""
    await database.execute(
        "UPDATE event_partitions SET ends_at = now() - $2::interval + $3::interval"
        " WHERE starts_at = $1",
        partition.starts_at,
        timedelta(hours=48),
        timedelta(seconds=seconds),
    )


async def measure_delete(built: Site, count: int) -> Gone:
    async with connected(built) as database:
        await database.execute("CREATE TABLE plain (LIKE events INCLUDING ALL)")
        await _fill(database, "plain", datetime.now(UTC), count)
        began = time.perf_counter()
        async with wal_of(database) as wal:
            await database.execute("DELETE FROM plain")
            await database.execute("VACUUM plain")
        return Gone(time.perf_counter() - began, wal.written)


async def measure_purge(built: Site, count: int) -> Gone:
    """The same coroutine as the service runs, alone, up to the end of its commit."""
    engine = create_engine(built.url)
    async with connected(built) as database:
        partition = await plant(built, database, count=count)
        await expire(database, partition, seconds=0)
        began = time.perf_counter()
        async with wal_of(database) as wal:
            await purge(create_sessions(engine), make_settings(built.url))
        took = time.perf_counter() - began
        assert await is_gone(database, partition)
    await engine.dispose()
    return Gone(took, wal.written)


async def is_gone(database: Any, partition: Partition) -> bool:
    return bool(await database.fetchval("SELECT to_regclass($1) IS NULL", partition.table))


async def measure_service(built: Site, count: int) -> Felt:
    """The running service archives the events, and then purges them amid the calls."""
    requests = await requests_to_ours(built)
    url = built.replicas[0].url
    async with connected(built) as database:
        partition = await plant(built, database, count=count)
        await eventually(
            lambda: database.fetchval("SELECT count(*) FROM event_counts"), lambda found: found > 0
        )
        await database.execute(_WATCH)
        await paced(url, requests, per_second=PER_SECOND, count=PER_SECOND * 2)  # to warm up
        await expire(database, partition, seconds=BEFORE)
        calls = await paced(
            url, requests, per_second=PER_SECOND, count=PER_SECOND * (BEFORE + AFTER)
        )
        assert await is_gone(database, partition), "not purged while calls came"
        row = await database.fetchrow("SELECT began_at, ended_at FROM purges")
    began_at, ended_at = row["began_at"].timestamp(), row["ended_at"].timestamp()
    return Felt(began_at, ended_at - began_at, calls)


async def report_purge(*, count: int = 1_000_000) -> list[str]:
    async with site(SWEEP) as built:
        plain = await measure_delete(built, count)
        alone = await measure_purge(built, count)
        await built.start(1)
        felt = await measure_service(built, count)
    worst = max(one.took for one in felt.calls) * 1000
    return [
        f"{count:,} expired events:",
        f"  {'DELETE and VACUUM':<42}{plain.took:>8.2f} s{plain.wal / MIB:>10.1f} MiB of WAL",
        f"  {'purged':<42}{alone.took:>8.2f} s{alone.wal / MIB:>10.1f} MiB of WAL",
        f"  {f'purged while {PER_SECOND} calls/s fire':<42}{felt.took:>8.2f} s",
        f"  calls: p50 {quantile(felt.calls, 50):.1f} ms, p99 {quantile(felt.calls, 99):.1f} ms,"
        f" worst {worst:.1f} ms; within {AROUND:.0f} s of the purge"
        f" p99 {quantile(felt.around, 99):.1f} ms",
    ]


if __name__ == "__main__":
    print("\n".join(asyncio.run(report_purge())))
