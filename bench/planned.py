"""Adds scheduled triggers of many owners, each due at another instant, spread over all shards."""

from datetime import UTC, datetime, timedelta
from typing import Any

_OWNERS = """
    INSERT INTO users (email, password_hash, role)
    SELECT 'owner' || number || '@example.com', '', 'user' FROM generate_series(1, 64) AS number
    RETURNING id
"""
_PLANT = """
    INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at, next_fire_at,
        settled_until, in_force_after, payload)
    SELECT owner_id % 64, owner_id, 'scheduled', '{"interval": "PT1H", "recurring": true}', '{}',
        'active', before, due_at, before, before, '{"padding": "xxxxxxxx"}'
    FROM generate_series(0, $2::int - 1) AS number,
        LATERAL (SELECT ($1::bigint[])[1 + number % cardinality($1::bigint[])]) AS owned (owner_id),
        LATERAL (SELECT $3::timestamptz + number * $4::interval) AS due (due_at),
        LATERAL (SELECT due_at - interval '1 h') AS early (before)
"""


async def make_owners(database: Any) -> list[int]:
    """Adds one owner for each shard; returns their ids."""
    return [row["id"] for row in await database.fetch(_OWNERS)]


async def plant_idle(database: Any, owners: list[int], count: int) -> None:
    """Adds triggers that are due in a year or later, and then vacuums the table."""
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    await plant_due(database, owners, count, in_a_year, every=0.07)
    await database.execute("VACUUM ANALYZE triggers")
    await database.execute("CHECKPOINT")


async def plant_due(
    database: Any, owners: list[int], count: int, first: datetime, *, every: float
) -> None:
    await database.execute(_PLANT, owners, count, first, timedelta(seconds=every))
