"""Measures a purge of a million events during calls, compared with a DELETE from a plain table."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.doors import plain_calls
from bench.gauges import MIB, connected, wal_of
from bench.load import Call, paced, quantile
from bench.report import at_most, table
from bench.served import default_site
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition
from event_trigger.events.retention import archive, purge
from tests.faults.site import Site
from tests.support.services import ADA, make_settings
from tests.support.waiting import eventually

PER_SECOND = 500  # calls
AROUND = 1.0  # seconds before and after a purge whose calls may be slower
SWEEP = {"EVENT_TRIGGER_RETENTION_INTERVAL": "PT2S"}
_ROWS = """
    INSERT INTO {table} (shard, owner_id, trigger_id, type, triggered_at, payload, is_test)
    SELECT $1::bigint % 64, $1, 1000000 + number % $2, 'api',
        $3::timestamptz + number * interval '1 h' / $4, '{{"padding": "xxxxxxxx"}}', false
    FROM generate_series(1, $4 - 1) AS number
"""
# a partition's row is deleted in the transaction that drops the partition: this deferred trigger
# runs last before the commit, and records how long the transaction has taken
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
class Removal:
    """The time until all rows were gone (s), and the WAL that it wrote (bytes)."""

    took: float
    wal: int


@dataclass(frozen=True)
class ServicePurge:
    """A purge by the running service: its transaction, and the calls during the run."""

    began_at: float
    took: float
    calls: list[Call]

    @property
    def before(self) -> list[Call]:
        return self._within(0, self.began_at - AROUND)

    @property
    def around(self) -> list[Call]:
        return self._within(self.began_at - AROUND, self.began_at + self.took + AROUND)

    def _within(self, since: float, until: float) -> list[Call]:
        return [one for one in self.calls if since <= one.due_at <= until]


async def plant(built: Site, database: Any, *, count: int, triggers: int) -> Partition:
    """Adds a partition with `count` events that is just not old enough to be purged."""
    settings = make_settings(built.url)
    starts_at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - settings.keep_for
    partition = Partition(starts_at + timedelta(hours=1), starts_at + timedelta(hours=2))
    engine = create_engine(built.url)
    async with create_sessions(engine).begin() as session:
        await Partitions(session).add(partition)
    await engine.dispose()
    await _fill(database, "events", partition.starts_at, count, triggers)
    return partition


async def _fill(database: Any, table: str, starts_at: datetime, count: int, triggers: int) -> None:
    await database.execute(_ROWS.format(table=table), ADA, triggers, starts_at, count + 1)
    await database.execute(f"VACUUM ANALYZE {table}")
    await database.execute("CHECKPOINT")


async def expire(database: Any, partition: Partition, *, seconds: int) -> None:
    """Moves the partition's recorded end so that it is due for the purge in `seconds`."""
    await database.execute(
        "UPDATE event_partitions SET ends_at = now() - $2::interval + $3::interval"
        " WHERE starts_at = $1",
        partition.starts_at,
        timedelta(hours=48),
        timedelta(seconds=seconds),
    )


async def measure_delete(built: Site, count: int, triggers: int) -> Removal:
    async with connected(built) as database:
        await database.execute("CREATE TABLE plain (LIKE events INCLUDING ALL)")
        await _fill(database, "plain", datetime.now(UTC), count, triggers)
        began = time.perf_counter()
        async with wal_of(database) as wal:
            await database.execute("DELETE FROM plain")
            await database.execute("VACUUM plain")
        return Removal(time.perf_counter() - began, wal.written)


async def measure_purge(built: Site, count: int, triggers: int) -> Removal:
    """Runs the service's own coroutine without the service, to the end of its commit."""
    engine = create_engine(built.url)
    async with connected(built) as database:
        partition = await plant(built, database, count=count, triggers=triggers)
        await archive(create_sessions(engine), make_settings(built.url))
        await expire(database, partition, seconds=0)
        began = time.perf_counter()
        async with wal_of(database) as wal:
            await purge(create_sessions(engine), make_settings(built.url))
        took = time.perf_counter() - began
        assert await is_gone(database, partition)
    await engine.dispose()
    return Removal(took, wal.written)


async def is_gone(database: Any, partition: Partition) -> bool:
    return bool(await database.fetchval("SELECT to_regclass($1) IS NULL", partition.table))


async def measure_service(built: Site, count: int, triggers: int, seconds: int) -> ServicePurge:
    """Lets the running service archive the events, and then purge them during calls."""
    requests = await plain_calls(built)
    url = built.replicas[0].url
    async with connected(built) as database:
        partition = await plant(built, database, count=count, triggers=triggers)
        await eventually(
            lambda: database.fetchval("SELECT count(*) FROM event_counts"), lambda found: found > 0
        )
        await database.execute(_WATCH)
        await paced(url, requests, per_second=PER_SECOND, count=PER_SECOND * 2)  # to warm up
        await expire(database, partition, seconds=seconds // 2)
        calls = await paced(url, requests, per_second=PER_SECOND, count=PER_SECOND * seconds)
        assert await is_gone(database, partition), "not purged while calls came"
        row = await database.fetchrow("SELECT began_at, ended_at FROM purges")
    began_at, ended_at = row["began_at"].timestamp(), row["ended_at"].timestamp()
    return ServicePurge(began_at, ended_at - began_at, calls)


async def report_purge(*, count: int, triggers: int, seconds: int = 20) -> list[str]:
    """Purges `count` events of `triggers` triggers, first without and then during calls."""
    async with default_site(SWEEP) as built:
        plain = await measure_delete(built, count, triggers)
        alone = await measure_purge(built, count, triggers)
        await built.start(1)
        during = await measure_service(built, count, triggers, seconds)
    removals = {
        "DELETE and VACUUM": (f"{plain.took:.2f}", f"{plain.wal / MIB:.1f}"),
        "purged": (f"{alone.took:.2f}", f"{alone.wal / MIB:.1f}"),
        f"purged while {PER_SECOND} calls/s fire": (f"{during.took:.2f}", ""),
    }
    calls = {
        "all": times_of(during.calls),
        "before the purge": times_of(during.before),
        f"within {AROUND:.0f} s of it": times_of(during.around),
    }
    title = f"{count:,} expired events of {triggers:,} triggers"
    return [
        *table(title, ("s", "MiB of WAL"), removals),
        *table("  calls beside the purge", ("p50 ms", "p99 ms", "worst ms"), calls),
        at_most(f"purge of {count:,} while calls fire", during.took, 0.5, " s"),
        at_most(
            f"p99 of the calls within {AROUND:.0f} s of it", quantile(during.around, 99), 100, " ms"
        ),
    ]


def times_of(calls: list[Call]) -> list[str]:
    times = (quantile(calls, 50), quantile(calls, 99), max(one.took for one in calls) * 1000)
    return [f"{one:.1f}" for one in times]
