"""Inserts triggers and events by SQL: large numbers, or kinds that the API refuses."""

import json
from datetime import datetime
from typing import Any

from tests.support.services import ADA

LARGE = 64  # events of a megabyte: more than sockets buffer between a service and a slow reader
HOURLY = {"interval": "PT1H", "recurring": True}


async def plant_triggers(
    connection: Any,
    count: int = 1,
    *,
    owner_id: int = ADA,
    details: dict[str, Any] | None = None,
    due_at: datetime | None = None,
) -> list[int]:
    """Inserts scheduled triggers of one owner, due now or at `due_at`; gives their ids."""
    rows = await connection.fetch(
        """
        INSERT INTO triggers (shard, owner_id, type, details, tags, status, anchor_at, next_fire_at)
        SELECT $1::bigint % 64, $1, 'scheduled', $2, '{}', 'active', due_at - interval '1 h', due_at
        FROM generate_series(1, $4), coalesce($3, now()) AS due_at
        RETURNING id
        """,
        owner_id,
        json.dumps(details or HOURLY),
        due_at,
        count,
    )
    return [row["id"] for row in rows]


async def plant_event(
    connection: Any,
    *,
    trigger_id: int,
    triggered_at: datetime,
    owner_id: int = ADA,
    kind: str = "api",
    is_test: bool = False,
) -> int:
    xid = await connection.fetchval("SELECT pg_current_xact_id()::text::bigint")  # of this server
    number: int = await connection.fetchval(
        """
        INSERT INTO events (shard, owner_id, trigger_id, type, is_test, triggered_at, xid)
        VALUES ($1::bigint % 64, $1, $2, $3, $4, $5, $6)
        RETURNING id
        """,
        owner_id,
        trigger_id,
        kind,
        is_test,
        triggered_at,
        xid,
    )
    return number


async def plant_large(database: Any, count: int = LARGE, *, owner_id: int = ADA) -> None:
    await database.execute(
        """
        INSERT INTO events (shard, owner_id, trigger_id, type, is_test, payload)
        SELECT $1::bigint % 64, $1, 1, 'api', false, jsonb_build_object('a', repeat('x', 1000000))
        FROM generate_series(1, $2)
        """,
        owner_id,
        count,
    )
