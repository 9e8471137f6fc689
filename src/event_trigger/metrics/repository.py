"""Reads the gauges that come from the database: indexes and kept counts, never a scan."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.config import Settings
from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import ALL_PROJECTS, EVERY_SHARD, SHARDS

STATEMENT_TIMEOUT = "2s"
MOST_DUE_IN_SHARD = 1_000  # so many due triggers of a shard are counted
_ACROSS = {ACROSS_SHARDS: "admin reads"}

_COUNTS = text(f"""
    SELECT state, CAST(sum(number) AS bigint), extract(epoch FROM clock_timestamp() - min(since))
    FROM project_counts WHERE {EVERY_SHARD} AND owner_id = {ALL_PROJECTS} GROUP BY state
""")  # noqa: S608
_DUE = text(f"""
    SELECT coalesce(CAST(sum(due.number) AS bigint), 0),
        extract(epoch FROM clock_timestamp() - min(due.first))
    FROM generate_series(0, {SHARDS - 1}) AS every (shard)
    CROSS JOIN LATERAL (
        SELECT count(*) AS number, min(next_fire_at) AS first FROM (
            SELECT next_fire_at FROM triggers
            WHERE triggers.shard = every.shard AND next_fire_at <= now()
            ORDER BY next_fire_at LIMIT {MOST_DUE_IN_SHARD}
        ) AS oldest
    ) AS due
""")  # noqa: S608
# Citus cannot probe an index once for each shard: this reads all due rows, as the dispatcher does
_DUE_IN_CLUSTER = text(f"""
    SELECT count(*), extract(epoch FROM clock_timestamp() - min(next_fire_at))
    FROM triggers WHERE {EVERY_SHARD} AND next_fire_at <= now()
""")  # noqa: S608
_SERVER = text("""
    SELECT
        (SELECT count(*) FROM event_partitions) AS partitions,
        (SELECT extract(epoch FROM max(ends_at) - clock_timestamp()) FROM event_partitions)
            AS horizon,
        (SELECT extract(epoch FROM clock_timestamp() - CAST(:keep_for AS interval) - min(ends_at))
            FROM event_partitions) AS overdue,
        (SELECT extract(epoch FROM clock_timestamp() - min(xact_start)) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid()) AS oldest_transaction,
        greatest(
            (SELECT max(age(backend_xmin)) FROM pg_stat_activity WHERE pid <> pg_backend_pid()),
            (SELECT max(greatest(age(xmin), age(catalog_xmin))) FROM pg_replication_slots),
            (SELECT max(age(transaction)) FROM pg_prepared_xacts)
        ) AS xmin_age,
        pg_database_size(current_database()) AS size,
        current_setting('server_version') AS postgres,
        (SELECT version_num FROM alembic_version) AS revision
""")
# partitions, which come and go, are counted as their table
_DEAD_TUPLES = text("""
    SELECT coalesce(parent.relname, one.relname),
        CAST(sum(pg_stat_get_dead_tuples(one.oid)) AS bigint)
    FROM pg_class AS one
    LEFT JOIN pg_inherits ON inhrelid = one.oid
    LEFT JOIN pg_class AS parent ON parent.oid = inhparent
    WHERE one.relnamespace = to_regnamespace(current_schema()) AND one.relkind = 'r'
    GROUP BY 1
""")


class KeptCount(NamedTuple):
    """The number of rows in a state, and the age in seconds of the oldest delivery among them."""

    number: int
    oldest_seconds: float | None


class ServerState(NamedTuple):
    """The log's partitions, and what PostgreSQL says about itself."""

    partitions: int
    horizon: float | None
    overdue: float | None
    oldest_transaction: float | None
    xmin_age: int | None
    size: int
    postgres: str
    revision: str


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """All that is read at once, `at` an instant of the process's clock.

    Partitions are made `ahead_seconds` ahead.
    """

    at: datetime
    counts: Mapping[str, KeptCount]
    due: int
    oldest_due_seconds: float
    server: ServerState
    ahead_seconds: float
    dead_tuples: Mapping[str, int]


async def limit_statements(session: AsyncSession) -> None:
    """Gives each statement of this transaction 2 s."""
    await session.execute(text(f"SET LOCAL statement_timeout = '{STATEMENT_TIMEOUT}'"))


async def read_state(session: AsyncSession, settings: Settings, at: datetime) -> DatabaseState:
    """Reads all gauges in four statements."""
    counts = await session.execute(_COUNTS, execution_options=_ACROSS)
    due = _DUE_IN_CLUSTER if await is_in_cluster(session) else _DUE
    number, oldest = (await session.execute(due, execution_options=_ACROSS)).one()
    server = (await session.execute(_SERVER, {"keep_for": settings.keep_for})).one()
    dead = await session.execute(_DEAD_TUPLES)
    return DatabaseState(
        at,
        {state: KeptCount(kept, _seconds(since)) for state, kept, since in counts},
        number,
        _seconds(oldest) or 0.0,
        ServerState._make(server),
        settings.partitions_ahead.total_seconds(),
        {table: tuples for table, tuples in dead},  # noqa: C416 - rows, not pairs
    )


def _seconds(value: Any) -> float | None:
    return None if value is None else float(value)
