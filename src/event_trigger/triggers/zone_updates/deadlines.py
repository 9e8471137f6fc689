"""Moves the deadlines of heartbeats whose time zone has new rules."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import text

from event_trigger.db.engine import Sessions
from event_trigger.models import TriggerType
from event_trigger.triggers.schedule.heartbeat import heartbeat_of_stored

HEARTBEATS_PER_STEP = 1000

_LIST_LOCKED = text(f"""
    SELECT id, CAST(details AS text), anchor_at, next_fire_at FROM triggers
    WHERE shard = :shard AND id > :after AND type = '{TriggerType.HEARTBEAT}'
        AND next_fire_at IS NOT NULL AND details ->> 'timezone' = ANY (CAST(:zones AS text[]))
    ORDER BY id LIMIT :limit FOR NO KEY UPDATE
""")  # noqa: S608
_MOVE = text("""
    UPDATE triggers SET next_fire_at = moved.deadline_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:deadline_ats AS timestamptz[]))
        AS moved (id, deadline_at)
    WHERE triggers.shard = :shard AND triggers.id = moved.id
""")


async def move_deadlines(sessions: Sessions, shard: int, zones: Sequence[str]) -> int:
    """Computes deadlines of a shard by the rules in force, and gives the number of moved ones.

    Nothing is put on record: a deadline that was not reached was never told.
    """
    moved, after, size = 0, 0, HEARTBEATS_PER_STEP
    while size == HEARTBEATS_PER_STEP:
        async with sessions.begin() as session:
            values = {"shard": shard, "after": after, "zones": zones, "limit": size}
            rows = (await session.execute(_LIST_LOCKED, values)).all()
            found = {row[0]: _deadline(row[1], row[2]) for row in rows}
            other = {row[0]: found[row[0]] for row in rows if found[row[0]] not in {None, row[3]}}
            if other:
                new = {"shard": shard, "ids": [*other], "deadline_ats": [*other.values()]}
                await session.execute(_MOVE, new)
        moved, size = moved + len(other), len(rows)
        after = rows[-1][0] if rows else after
    return moved


def _deadline(details: str, base: datetime) -> datetime | None:
    """Returns a deadline; None if this version cannot read the details, which firing tells."""
    try:
        return heartbeat_of_stored(details).deadline_after(base)
    except (ValueError, TypeError, AttributeError, OverflowError):
        return None
