"""Reads the last instants of several triggers in one statement."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import EventType, shard_of

_EVENT_TYPES = ", ".join(f"'{one}'" for one in EventType)
# the kind of event comes before the time in `ix_events_trigger_kind`: the newest of each kind are
# read by it, and of those the newest are kept
_LAST = text(f"""
    SELECT triggers.id, found.* FROM triggers, LATERAL (
        SELECT * FROM (
            SELECT coalesce(kept.scheduled_for, kept.triggered_at) AS at,
                CAST(NULL AS text) AS reason,
                CAST(1 AS bigint) AS count, kept.id AS event_id,
                CAST(extract(epoch FROM kept.triggered_at - kept.scheduled_for) * 1000 AS float8)
                    AS lag_ms
            FROM unnest(ARRAY[{_EVENT_TYPES}]) AS kind, LATERAL (
                SELECT id, triggered_at, scheduled_for FROM events
                WHERE shard = :shard AND trigger_id = triggers.id AND type = kind AND NOT is_test
                    AND triggered_at >= :since AND owner_id IS NOT DISTINCT FROM :owner_id
                ORDER BY triggered_at DESC, id DESC LIMIT :most
            ) AS kept
            UNION ALL
            (SELECT last_at, reason, count, NULL, NULL FROM unfired_ranges
            WHERE shard = :shard AND trigger_id = triggers.id AND last_at >= :since
                AND owner_id IS NOT DISTINCT FROM :owner_id
            ORDER BY last_at DESC LIMIT :most)
        ) AS instants ORDER BY at DESC LIMIT :most
    ) AS found
    WHERE triggers.shard = :shard AND triggers.owner_id = :owner_id
        AND triggers.id = ANY (CAST(:ids AS bigint[]))
    ORDER BY triggers.id, found.at
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class RecentRow:
    """An instant with an event, or the last one of a range that has none for a reason."""

    trigger_id: int
    at: datetime
    reason: str | None
    count: int
    event_id: int | None
    lag_ms: float | None


@dataclass(frozen=True)
class RecentInstants:
    session: AsyncSession

    async def list_last(
        self, owner_id: int, ids: Collection[int], *, since: datetime, most: int
    ) -> list[RecentRow]:
        """Lists up to `most` instants of each trigger since then, by trigger, oldest first."""
        values = {
            "shard": shard_of(owner_id),
            "owner_id": owner_id,
            "ids": sorted(ids),
            "since": since,
            "most": most,
        }
        return [RecentRow(*row) for row in await self.session.execute(_LAST, values)]
