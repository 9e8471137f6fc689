"""Fills a database as after two busy days: millions of events, triggers, deliveries and the like.

Half of the triggers are Ada's, the others are spread over 5,000 projects, of which one is Bob's.

A few rows are of rare kinds, to measure filters that select three rows of all.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

from event_trigger.db.clock import database_now
from event_trigger.db.engine import create_engine, create_sessions
from event_trigger.events.measuring import measure
from event_trigger.events.partition_tables import Partitions
from event_trigger.events.partitions import Partition, missing_partitions
from event_trigger.events.retention import archive, sum_blocks
from event_trigger.overview import counting
from tests.support.databases import connect
from tests.support.services import ADA, BOB, make_settings

Fill = tuple[Partition, tuple[Any, ...]]  # a partition, and the values of its statement
FIRING, SEEN_LITTLE = 1000, 1001  # triggers with many events, and the one with three
PROJECTS = 5_000  # that half of the triggers are spread over
KEPT = timedelta(hours=48)
_UNCOUNTED = """
    SELECT EXISTS (
        SELECT FROM event_partitions AS made
        LEFT JOIN minute_partitions AS counted USING (starts_at)
        WHERE made.starts_at <= now()
            AND counted.counted_until IS DISTINCT FROM made.ends_at
    )
"""
# nine of ten events are Ada's, and nine of ten others Bob's
_OWNER = f"CASE WHEN place < 900 THEN {ADA} WHEN place < 990 THEN {BOB} ELSE place - 986 END"
_UNMEASURED = """
    SELECT EXISTS (
        SELECT FROM event_partitions LEFT JOIN measured_partitions AS measured USING (starts_at)
        WHERE event_partitions.starts_at <= now() AND measured.below IS NULL
    )
"""
_USERS = """
    INSERT INTO users (email, password_hash, role)
    SELECT 'user' || number || '@example.com', '', 'user' FROM generate_series(1, 30) AS number
"""
# a project's triggers; OWNER is replaced
_TRIGGERS = """
    INSERT INTO triggers (shard, owner_id, type, name, details, payload, tags, destination_ids,
        status, anchor_at, next_fire_at, last_fired_at)
    SELECT owner_id % 64, owner_id, kind, CASE WHEN n % ($1 / 3) = 7 THEN 'Needle ' || n
            WHEN n % 20 > 0 THEN 'Report ' || n * 7919 % $1 END,
        '{"interval": "PT1H", "recurring": true}', '{"report": "sales"}',
        CASE WHEN n % ($1 / 7) = 5 THEN '{rare,all}' ELSE '{all}' END::text[],
        CASE WHEN n % 1000 = 3 THEN '{7}' ELSE '{}' END::bigint[], status, now(),
        CASE WHEN status = 'active' AND kind = 'scheduled'
            THEN now() + interval '2 days' + n * 104729 % 86400 * interval '1 s' END,
        CASE WHEN n % 10 > 0 THEN now() - n * 15485863 % 172800 * interval '1 s' END
    FROM generate_series(1, $1::bigint) AS n,
        LATERAL (SELECT OWNER, CASE WHEN n % 10 = 0 THEN 'api' ELSE 'scheduled' END,
            CASE n % 50 WHEN 7 THEN 'completed' WHEN 8 THEN 'paused' ELSE 'active' END
        ) AS made (owner_id, kind, status)
"""
_BESIDE_TRIGGERS = {
    "trigger_tags": """
        INSERT INTO trigger_tags (shard, owner_id, tag, trigger_id)
        SELECT shard, owner_id, unnest(tags), id FROM triggers
    """,
    "trigger_sort_keys": """
        INSERT INTO trigger_sort_keys (shard, trigger_id, owner_id, sort_name, last_fired_at)
        SELECT shard, id, owner_id, lower(name), last_fired_at FROM triggers
    """,
    "trigger_destinations": """
        INSERT INTO trigger_destinations (shard, owner_id, destination_id, trigger_id)
        SELECT shard, owner_id, unnest(destination_ids), id FROM triggers
    """,
}
_EVENTS = f"""
    INSERT INTO {{table}} (shard, id, triggered_at, owner_id, trigger_id, type, scheduled_for,
        payload, is_test) OVERRIDING SYSTEM VALUE
    SELECT owner_id % 64, number, $3::timestamptz + (number - $1) * $4::interval, owner_id,
        CASE WHEN number % $5 = 1000 THEN {SEEN_LITTLE} ELSE place + 1 END,
        CASE WHEN number % $5 = 2000 OR owner_id <> {ADA} AND number % 2 = 0 THEN 'api'
            ELSE 'scheduled' END,
        NULL, '{{{{"padding": "xxxxxxxx"}}}}', number % $5 = 2000
    FROM generate_series($1::bigint, $2::bigint) AS number,
        LATERAL (SELECT CASE WHEN number % $5 IN (1000, 2000) THEN 0
            ELSE number * 7919 % {FIRING} END) AS placed (place),
        LATERAL (SELECT {_OWNER}) AS made (owner_id)
"""
_DELIVERIES = f"""
    INSERT INTO deliveries (shard, owner_id, destination_id, trigger_id, event_id, event_type,
        triggered_at, is_test, payload_size, status, next_attempt_at, queued_at, finished_at, error)
    SELECT owner_id % 64, owner_id,
        CASE WHEN number % ($1 / 3) = 1000 THEN 999 ELSE 1 + place % 20 END,
        CASE WHEN number % ($1 / 3) = 2000 THEN {SEEN_LITTLE} ELSE place + 1 END,
        number, 'scheduled', at, false, 0, status,
        CASE status WHEN 'pending' THEN now() + interval '1 day' END, at,
        CASE WHEN status <> 'pending' THEN at END, CASE status WHEN 'exhausted' THEN 'timeout' END
    FROM generate_series(1, $1::bigint) AS number,
        LATERAL (SELECT number * 7919 % {FIRING}, now() - (1 - number / $1::float) * $2::interval
        ) AS placed (place, at),
        LATERAL (SELECT {_OWNER}, CASE WHEN number % ($1 / 3) = 4000 THEN 'pending'
            WHEN number % 1000 = 0 THEN 'exhausted' ELSE 'delivered' END) AS made (owner_id, status)
"""
_DESTINATIONS = f"""
    INSERT INTO destinations (shard, owner_id, url, timeout, max_concurrency, header_names, sealed,
        key_id, disabled_reason)
    SELECT {ADA}, {ADA}, 'https://example.com', 15, 10, '{{}}', '', '', 'by_hand'
    FROM generate_series(1, $1) AS number
"""
_AUDIT = """
    INSERT INTO audit_entries (at, actor, user_id, action, target, target_id, refused)
    SELECT now() - (1 - number / $1::float) * interval '89 days', 'login',
        CASE number % ($1 / 3) WHEN 100 THEN 5 ELSE 2 END,
        CASE number % ($1 / 3) WHEN 200 THEN 'key.delete' ELSE 'trigger.update' END,
        CASE number % ($1 / 3) WHEN 300 THEN 'key' ELSE 'trigger' END,
        number % 1000, number % ($1 / 3) = 400
    FROM generate_series(1, $1) AS number
"""


@asynccontextmanager
async def without_indexes(database: Any, table: str) -> AsyncIterator[None]:
    """Drops a table's indexes, except those of its keys, and makes them again after the body."""
    made = await database.fetch(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = $1 AND indexname NOT IN"
        " (SELECT conname FROM pg_constraint)",
        table,
    )
    for one in made:
        await database.execute(f"DROP INDEX {one['indexname']}")
    yield
    for one in made:
        await database.execute(one["indexdef"])


async def plant_log(url: str, count: int) -> None:
    """Spreads `count` events evenly over the last two days.

    Partitions are filled before they are attached, so that their indexes are built in one go, and
    two at a time.
    """
    async with _connected(url) as database, _connected(url) as another:
        rows = await database.fetch("SELECT starts_at, ends_at FROM event_partitions")
        there = [Partition(*row) for row in rows]
        width = there[0].ends_at - there[0].starts_at
        now = await database.fetchval("SELECT clock_timestamp()")
        past = missing_partitions(there, now=now - KEPT, ahead=KEPT, width=width)
        current = [one for one in there if one.starts_at <= now < one.ends_at]
        step, done, fills = KEPT / count, 0, []
        for partition in sorted([*past, *current]):
            start = max(partition.starts_at, now - KEPT + step)
            last = min(count, done + max(0, (min(partition.ends_at, now) - start) // step))
            fills.append((partition, (done + 1, last, start, step, count // 3)))
            done = last
        await asyncio.gather(*(_fill(one, fills, set(past)) for one in (database, another)))
        await database.execute("SELECT setval(pg_get_serial_sequence('events', 'id'), $1)", count)


async def _fill(database: Any, fills: list[Fill], past: set[Partition]) -> None:
    """Takes one partition after another from the list, which is shared."""
    while fills:
        partition, values = fills.pop()
        if partition in past:
            await _fill_new(database, partition, values)
        else:
            await database.execute(_EVENTS.format(table="events"), *values)


async def _fill_new(database: Any, partition: Partition, values: tuple[Any, ...]) -> None:
    name, starts_at, ends_at = partition.table, partition.starts_at, partition.ends_at
    await database.execute(f"CREATE TABLE {name} (LIKE events INCLUDING DEFAULTS)")
    await database.execute(_EVENTS.format(table=name), *values)
    await database.execute(
        f"ALTER TABLE events ATTACH PARTITION {name}"
        f" FOR VALUES FROM ('{starts_at.isoformat()}') TO ('{ends_at.isoformat()}')"
    )
    await database.execute("INSERT INTO event_partitions VALUES ($1, $2)", starts_at, ends_at)


async def plant_triggers(database: Any, count: int) -> None:
    """Adds so many triggers to Ada's project, and as many again to many projects, Bob's too."""
    spread = f"CASE WHEN n % {PROJECTS} = 0 THEN {BOB} ELSE 100 + n % {PROJECTS} END"
    async with without_indexes(database, "triggers"):
        for owner in (str(ADA), spread):
            await database.execute(_TRIGGERS.replace("OWNER", owner), count)
    for table, statement in _BESIDE_TRIGGERS.items():
        async with without_indexes(database, table):
            await database.execute(statement)


async def plant_rest(database: Any, deliveries: int) -> None:
    await database.execute(_USERS)
    fills = {
        "deliveries": (_DELIVERIES, deliveries, KEPT),
        "destinations": (_DESTINATIONS, 1000),
        "audit_entries": (_AUDIT, deliveries // 10),
    }
    for table, (statement, *values) in fills.items():
        async with without_indexes(database, table):
            await database.execute(statement, *values)


async def plant_two_days(url: str, *, events: int, triggers: int, deliveries: int) -> datetime:
    """Fills all tables, and closes past partitions by the service's sweep; returns the end time."""
    async with _connected(url) as database:
        await plant_triggers(database, triggers)
        await plant_rest(database, deliveries)
        await plant_log(url, events)
        await sweep_all(url)
        await count_minutes(database, url)
        await measure_events(database, url)
        await database.execute("VACUUM ANALYZE")
        await database.execute("CHECKPOINT")
        now: datetime = await database.fetchval("SELECT clock_timestamp()")
        return now


@asynccontextmanager
async def _connected(url: str) -> AsyncIterator[Any]:
    database = await connect(url)
    await database.execute("SET maintenance_work_mem = '256MB'")
    try:
        yield database
    finally:
        await database.close()


async def sweep_all(url: str) -> None:
    """Counts events and closes past partitions, as the service's sweeps of two days would have."""
    await count_all(url)
    await close_past_partitions(url)


async def count_all(url: str) -> None:
    """Counts the events of each partition in a transaction of its own."""
    engine = create_engine(url, answer_within=None)
    sessions = create_sessions(engine)
    async with sessions() as session:
        made, now = await Partitions(session).list_all(), await database_now(session)
    for partition in sorted(made):
        async with sessions.begin() as session:
            if partition.starts_at <= now:
                await Partitions(session).count(partition)
    await engine.dispose()


async def count_minutes(database: Any, url: str) -> None:
    """Counts events by minute and projects by state, as the service's job would have.

    With so many new events, the job would take minutes, and slow down what is measured beside it.
    """
    engine = create_engine(url, answer_within=None)
    while await database.fetchval(_UNCOUNTED):
        await counting.count_all(create_sessions(engine), every=timedelta(minutes=1))
    await engine.dispose()


async def measure_events(database: Any, url: str) -> None:
    """Counts the bytes of events, as the service's job would have done for as long."""
    engine = create_engine(url, answer_within=None)
    while await database.fetchval(_UNMEASURED):
        await measure(create_sessions(engine), most_bytes=0)
    await engine.dispose()


async def close_past_partitions(url: str) -> None:
    engine, settings = create_engine(url), make_settings(url)
    async with engine.connect() as connection:
        left = "SELECT count(*) FROM event_partitions WHERE closed_at IS NULL AND ends_at <= now()"
        while True:
            await archive(create_sessions(engine), settings)
            open_ = await connection.exec_driver_sql(left + " - interval '2 h'")
            await connection.rollback()
            if not open_.scalar_one():
                break
    await sum_blocks(create_sessions(engine), settings)
    await engine.dispose()
