"""Finds the triggers whose plans a change of zone rules moves, and rewrites them in batches."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.instants import just_after, just_before
from event_trigger.models import TriggerStatus, TriggerType
from event_trigger.triggers.schedule.bases import Local
from event_trigger.triggers.schedule.details import Resolved
from event_trigger.triggers.schedule.plan import readable_stored, schedule_part
from event_trigger.triggers.schedule.zone_moves import (
    MovedPlan,
    PlanProgress,
    first_difference,
    moved_plan,
    planned_by,
)
from event_trigger.triggers.schedule.zone_rules import Rules

_ZONED = "type = :type AND details ->> 'timezone'"
_LIST_ZONES = text(f"""
    SELECT DISTINCT details ->> 'timezone' FROM triggers
    WHERE shard = :shard AND {_ZONED} IS NOT NULL
""")  # noqa: S608
_COLUMNS = """
    id, details ->> 'timezone', CAST(details AS text), anchor_at, in_force_after, settled_until,
    next_fire_at, scheduled_count
"""
_NEWEST = "zone_rules, excluded_days, shift_seconds"  # columns that an older database may lack
_NOT_MIGRATED = "CAST(NULL AS text), CAST(NULL AS integer[]), CAST(NULL AS integer)"
_LIST_PAGE = f"""
    SELECT {_COLUMNS}, {{newest}} FROM triggers
    WHERE shard = :shard AND id > :after AND {_ZONED} = ANY(CAST(:zones AS text[]))
        AND status <> :completed
    ORDER BY id LIMIT :limit
"""  # noqa: S608
_LIST_LOCKED = text(f"""
    SELECT {_COLUMNS}, {_NEWEST} FROM triggers
    WHERE shard = :shard AND id = ANY(CAST(:ids AS bigint[])) AND status <> :completed
    ORDER BY id
    FOR NO KEY UPDATE
""")  # noqa: S608
_INSERT_VERSIONS = text("""
    INSERT INTO schedule_versions
        (shard, trigger_id, version, owner_id, details, anchor_at, starts_after, ends_at,
            zone_rules, moved_to, excluded_days, shift_seconds)
    SELECT triggers.shard, triggers.id, triggers.version, triggers.owner_id,
        CAST(moved.details AS json), triggers.anchor_at, triggers.in_force_after,
        triggers.settled_until, moved.old_rules, moved.new_rules, triggers.excluded_days,
        triggers.shift_seconds
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:details AS text[]), CAST(:old_rules AS text[]),
        CAST(:new_rules AS text[])
    ) AS moved (id, details, old_rules, new_rules)
    JOIN triggers ON triggers.shard = :shard AND triggers.id = moved.id
""")
_UPDATE_TRIGGERS = text("""
    UPDATE triggers SET
        version = triggers.version + 1, in_force_after = moved.after, settled_until = moved.after,
        next_fire_at = moved.next_fire_at, zone_rules = moved.new_rules,
        status = CASE WHEN triggers.status = :active AND moved.next_fire_at IS NULL
            THEN :completed ELSE triggers.status END
    FROM unnest(
        CAST(:ids AS bigint[]), CAST(:afters AS timestamptz[]),
        CAST(:next_fire_ats AS timestamptz[]), CAST(:new_rules AS text[])
    ) AS moved (id, after, next_fire_at, new_rules)
    WHERE triggers.shard = :shard AND triggers.id = moved.id
""")


class PlannedRow(NamedTuple):
    """The columns that make a trigger's plan, and its progress; `details` is stored JSON text."""

    id: int
    zone: str
    details: str
    anchor_at: datetime
    in_force_after: datetime
    settled_until: datetime
    next_fire_at: datetime | None
    scheduled_count: int
    zone_rules: str | None
    excluded_days: list[int] | None = None
    shift_seconds: int | None = None

    @property
    def resolved(self) -> Resolved:
        return Resolved.of(self.excluded_days, self.shift_seconds)

    def read_details(self) -> Any:
        return json.loads(self.details)


class PlanRewrite(NamedTuple):
    """A locked trigger and its new plan, which begins at `since`."""

    row: PlannedRow
    since: datetime
    next_fire_at: datetime | None
    old_rules: str | None
    new_rules: str


@dataclass(frozen=True)
class PlannedRows:
    session: AsyncSession

    async def list_zones(self, shard: int) -> set[str]:
        """Lists the zones of schedules and of heartbeats."""
        found: set[str] = set()
        for kind in (TriggerType.SCHEDULED, TriggerType.HEARTBEAT):
            found |= set(await self.session.scalars(_LIST_ZONES, {"shard": shard, "type": kind}))
        return found

    async def list_page(
        self,
        shard: int,
        zones: Sequence[str],
        *,
        after: int,
        limit: int,
        migrated: bool = True,
    ) -> list[PlannedRow]:
        """Lists triggers that are not completed, with ids larger than `after`, by id.

        `migrated` is False on a database that this version has not migrated yet.
        """
        newest = _NEWEST if migrated else _NOT_MIGRATED
        rows = await self.session.execute(
            text(_LIST_PAGE.format(newest=newest)),
            {
                "shard": shard,
                "type": TriggerType.SCHEDULED,
                "zones": zones,
                "completed": TriggerStatus.COMPLETED,
                "after": after,
                "limit": limit,
            },
        )
        return [PlannedRow(*row) for row in rows]

    async def list_locked(self, shard: int, ids: Sequence[int]) -> list[PlannedRow]:
        """Locks the rows: until the commit nobody fires, changes or deletes the triggers."""
        values = {"shard": shard, "ids": ids, "completed": TriggerStatus.COMPLETED}
        return [PlannedRow(*row) for row in await self.session.execute(_LIST_LOCKED, values)]

    async def rewrite(self, shard: int, moved: Sequence[PlanRewrite]) -> None:
        """Records the versions that end, and stores the new ones."""
        if not moved:
            return
        ids, new_rules = [one.row.id for one in moved], [one.new_rules for one in moved]
        details = [json.dumps(schedule_part(one.row.read_details())) for one in moved]
        await self.session.execute(
            _INSERT_VERSIONS,
            {
                "shard": shard,
                "ids": ids,
                "details": details,
                "old_rules": [one.old_rules for one in moved],
                "new_rules": new_rules,
            },
        )
        await self.session.execute(
            _UPDATE_TRIGGERS,
            {
                "shard": shard,
                "ids": ids,
                "afters": [just_before(one.since) for one in moved],
                "next_fire_ats": [one.next_fire_at for one in moved],
                "new_rules": new_rules,
                "active": TriggerStatus.ACTIVE,
                "completed": TriggerStatus.COMPLETED,
            },
        )


class ZoneChange(NamedTuple):
    """Newer rules of a zone; `old` is None if the rules of the plans are unknown."""

    old: Rules | None
    new: Rules
    past_differs: bool


class MovedTrigger(NamedTuple):
    """A trigger whose plan moves."""

    row: PlannedRow
    change: ZoneChange
    plan: MovedPlan


def change_of(old: Rules | None, new: Rules, *, since: datetime, until: datetime) -> ZoneChange:
    """Compares the rules in `[since, until)`, the past that is kept on record."""
    if old is None:
        return ZoneChange(None, new, past_differs=False)
    difference = first_difference(old.zone, new.zone, since=since, until=until)
    return ZoneChange(old, new, past_differs=difference is not None)


def moves_of(batch: Sequence[PlannedRow], changes: Mapping[str, ZoneChange]) -> list[MovedTrigger]:
    """Finds the triggers whose plan is another by the newer rules, and not made by them already."""
    found = []
    for row in batch:
        change = changes.get(row.zone)
        if change is None or row.zone_rules == change.new.digest:
            continue
        plan = _moved_plan(row, change)
        if plan is not None:
            found.append(MovedTrigger(row, change, plan))
    return found


def _moved_plan(row: PlannedRow, change: ZoneChange) -> MovedPlan | None:
    plan = readable_stored(row.details, anchor=row.anchor_at, resolved=row.resolved)
    if plan is None or not isinstance(plan.schedule.base, Local):
        return None  # the dispatcher sets it aside when it is due
    old = None if change.old is None else planned_by(plan, change.old.digest)
    progress = PlanProgress(
        in_force_since=just_after(row.in_force_after),
        open_since=just_after(row.settled_until),
        next_fire_at=row.next_fire_at,
        fired=row.scheduled_count,
    )
    new = planned_by(plan, change.new.digest)
    return moved_plan(old, new, progress, past_differs=change.past_differs)
