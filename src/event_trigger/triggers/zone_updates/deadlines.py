"""Moves the deadlines of heartbeats whose time zone has new rules, and finds those that move."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.models import TriggerType
from event_trigger.triggers.schedule.bases import Local
from event_trigger.triggers.schedule.heartbeat import Heartbeat, heartbeat_of_stored
from event_trigger.triggers.schedule.zone_rules import Rules

HEARTBEATS_PER_STEP = 1000

_LIST = f"""
    SELECT id, details ->> 'timezone', CAST(details AS text), anchor_at, next_fire_at FROM triggers
    WHERE shard = :shard AND id > :after AND type = '{TriggerType.HEARTBEAT}'
        AND next_fire_at IS NOT NULL AND details ->> 'timezone' = ANY (CAST(:zones AS text[]))
    ORDER BY id LIMIT :limit
"""  # noqa: S608
_READ, _LOCK = text(_LIST), text(f"{_LIST} FOR NO KEY UPDATE")
_MOVE = text("""
    UPDATE triggers SET next_fire_at = moved.deadline_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:deadline_ats AS timestamptz[]))
        AS moved (id, deadline_at)
    WHERE triggers.shard = :shard AND triggers.id = moved.id
""")


class ZonedHeartbeat(NamedTuple):
    """A heartbeat that follows a time zone and has a deadline, which is stored or a little later.

    `details` is JSON text.
    """

    id: int
    zone: str
    details: str
    base: datetime
    stored_deadline_at: datetime

    def read_details(self) -> Any:
        return json.loads(self.details)

    def read(self, rules: Rules | None = None) -> Heartbeat | None:
        """Reads it by past rules, or by those in force.

        Returns None if this version cannot read the details, which firing tells.
        """
        try:
            heartbeat = heartbeat_of_stored(self.details)
        except (ValueError, TypeError, AttributeError, OverflowError):
            return None
        schedule = heartbeat.schedule
        if rules is None or schedule is None or not isinstance(schedule.base, Local):
            return heartbeat
        base = schedule.base._replace(rules=rules.digest)
        return heartbeat._replace(schedule=schedule._replace(base=base))

    def deadline_by(self, rules: Rules | None = None) -> datetime | None:
        heartbeat = self.read(rules)
        return None if heartbeat is None else heartbeat.deadline_after(self.base)


async def list_heartbeats(
    session: AsyncSession, shard: int, zones: Sequence[str], *, after: int, locked: bool = False
) -> list[ZonedHeartbeat]:
    """Lists heartbeats with ids larger than `after`, by id."""
    values = {"shard": shard, "after": after, "zones": zones, "limit": HEARTBEATS_PER_STEP}
    rows = await session.execute(_LOCK if locked else _READ, values)
    return [ZonedHeartbeat(*row) for row in rows]


async def move_deadlines(sessions: Sessions, shard: int, zones: Sequence[str]) -> int:
    """Computes deadlines of a shard by the rules in force, and gives the number of moved ones.

    Nothing is put on record: a deadline that was not reached was never told.
    """
    moved, after, size = 0, 0, HEARTBEATS_PER_STEP
    while size == HEARTBEATS_PER_STEP:
        async with sessions.begin() as session:
            batch = await list_heartbeats(session, shard, zones, after=after, locked=True)
            found = {one: one.deadline_by() for one in batch}
            other = {
                one.id: at for one, at in found.items() if at not in {None, one.stored_deadline_at}
            }
            if other:
                new = {"shard": shard, "ids": [*other], "deadline_ats": [*other.values()]}
                await session.execute(_MOVE, new)
        moved, size = moved + len(other), len(batch)
        after = batch[-1].id if batch else after
    return moved
