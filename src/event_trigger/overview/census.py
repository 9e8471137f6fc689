"""Counts triggers, queued deliveries and destinations by project and state, shard by shard."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.models import (
    ALL_PROJECTS,
    EVERY_SHARD,
    NOT_OF_DELETED_PROJECTS,
    DeliveryStatus,
)

_ACROSS = {ACROSS_SHARDS: "retention"}


class CountedState(StrEnum):
    """Names the counts that are kept for each project."""

    ACTIVE = "active"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILING = "failing"
    PENDING = "pending"
    RETRYING = "retrying"
    EXHAUSTED = "exhausted"
    CLOSED = "closed"
    OPEN = "open"
    RECOVERING = "recovering"
    DISABLED = "disabled"


_IN_SHARDS = "shard = ANY (CAST(:shards AS smallint[]))"
_UNFINISHED = ", ".join(f"'{one}'" for one in DeliveryStatus if one is not DeliveryStatus.DELIVERED)
_FOUND = f"""
    SELECT shard, owner_id, status AS state, count(*) AS number, CAST(NULL AS timestamptz) AS since
    FROM triggers WHERE {_IN_SHARDS} GROUP BY shard, owner_id, status
    UNION ALL
    SELECT shard, owner_id, '{CountedState.FAILING}', count(*), NULL
    FROM triggers WHERE {_IN_SHARDS} AND error IS NOT NULL GROUP BY shard, owner_id
    UNION ALL
    SELECT shard, owner_id, status, count(*), min(queued_at)
    FROM deliveries WHERE {_IN_SHARDS} AND status IN ({_UNFINISHED})
    GROUP BY shard, owner_id, status
    UNION ALL
    SELECT shard, owner_id,
        CASE WHEN disabled_reason IS NOT NULL THEN '{CountedState.DISABLED}'
            WHEN "window" IS NULL THEN '{CountedState.CLOSED}'
            WHEN failures > 0 THEN '{CountedState.OPEN}'
            ELSE '{CountedState.RECOVERING}' END AS state, count(*), NULL
    FROM destinations WHERE {_IN_SHARDS} AND deleted_at IS NULL GROUP BY shard, owner_id, state
"""  # noqa: S608
# unchanged counts are not written, so a quiet project costs no write
_COUNT = text(f"""
    INSERT INTO project_counts (shard, owner_id, state, number, since)
    WITH found AS MATERIALIZED (
        SELECT * FROM ({_FOUND}) AS counted WHERE {NOT_OF_DELETED_PROJECTS}
    ),
    summed AS (
        SELECT * FROM found
        UNION ALL
        SELECT shard, {ALL_PROJECTS}, state, CAST(sum(number) AS bigint), min(since)
        FROM found GROUP BY shard, state
    )
    SELECT shard, owner_id, state, coalesce(summed.number, 0), summed.since
    FROM summed FULL JOIN (SELECT * FROM project_counts WHERE {_IN_SHARDS}) AS kept
        USING (shard, owner_id, state)
    WHERE coalesce(summed.number, 0) IS DISTINCT FROM kept.number
        OR summed.since IS DISTINCT FROM kept.since
    ON CONFLICT (shard, owner_id, state)
        DO UPDATE SET number = excluded.number, since = excluded.since
""")  # noqa: S608
_DELETE_EMPTY = text(f"DELETE FROM project_counts WHERE {EVERY_SHARD} AND number = 0")  # noqa: S608


@dataclass(frozen=True)
class Census:
    session: AsyncSession

    async def count(self, shards: Sequence[int]) -> None:
        """Stores the counts of these shards that have changed; a deleted project has none."""
        await self.session.execute(_COUNT, {"shards": list(shards)}, execution_options=_ACROSS)

    async def delete_empty(self) -> None:
        await self.session.execute(_DELETE_EMPTY, execution_options=_ACROSS)
