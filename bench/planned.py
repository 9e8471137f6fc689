"""Adds scheduled triggers of many owners, each due at another instant or all at one."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from tests.support.planting import HOURLY


class Planned(NamedTuple):
    """The columns of a trigger that make its plan."""

    details: dict[str, Any] = HOURLY
    excluded_days: Sequence[int] | None = None
    shift_seconds: int | None = None


EACH_HOUR = Planned()

# anchors differ, so that no next time is shared between triggers that are due at one instant
_PLANT = """
    INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at, next_fire_at,
        settled_until, in_force_after, payload, destination_ids, excluded_days, shift_seconds)
    SELECT owner_id % 64, owner_id, 'scheduled', $5, '{}', 'active',
        due_at - (1 + number % 1000) * interval '1 h', due_at, before, before,
        '{"padding": "xxxxxxxx"}',
        CASE cardinality($6::bigint[]) WHEN 0 THEN '{}'::bigint[]
            ELSE ARRAY[($6::bigint[])[1 + number % cardinality($6::bigint[])]] END,
        $7, $8
    FROM generate_series(0, $2::int - 1) AS number,
        LATERAL (SELECT ($1::bigint[])[1 + number % cardinality($1::bigint[])]) AS owned (owner_id),
        LATERAL (SELECT $3::timestamptz + number * $4::interval) AS due (due_at),
        LATERAL (SELECT due_at - interval '1 h') AS early (before)
"""


async def plant_due(
    database: Any,
    owners: Sequence[int],
    count: int,
    first: datetime,
    *,
    every: float = 0.0,
    planned: Planned = EACH_HOUR,
    destinations: Sequence[int] = (),
) -> None:
    """Adds triggers of these owners in turn, due `every` seconds one after another."""
    step, details = timedelta(seconds=every), json.dumps(planned.details)
    await database.execute(_PLANT, owners, count, first, step, details, destinations, *planned[1:])


async def plant_idle(database: Any, owners: Sequence[int], count: int) -> None:
    """Adds triggers that are due in a year or later, and then vacuums the table."""
    in_a_year = datetime.now(UTC) + timedelta(days=365)
    await plant_due(database, owners, count, in_a_year, every=0.07)
    await database.execute("VACUUM ANALYZE triggers")
    await database.execute("CHECKPOINT")
