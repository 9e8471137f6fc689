"""Lists the triggers that newer zone rules would move, or have moved, for the command `tzdata`."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions
from event_trigger.db.revisions import is_migrated
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.instants import instant_text, just_after
from event_trigger.models import SHARDS, ScheduleVersion, Trigger
from event_trigger.triggers.schedule.plan import Plan, readable_stored
from event_trigger.triggers.schedule.schedules import next_fire_at_or_after
from event_trigger.triggers.schedule.zone_moves import first_difference, planned_by
from event_trigger.triggers.schedule.zone_rules import Rules, is_newer, usual_rules, zone_rules
from event_trigger.triggers.stored_plans import readable_plan_of
from event_trigger.triggers.zone_updates.deadlines import (
    HEARTBEATS_PER_STEP,
    ZonedHeartbeat,
    list_heartbeats,
)
from event_trigger.triggers.zone_updates.moves import (
    MovedTrigger,
    PlannedRow,
    PlannedRows,
    ZoneChange,
    change_of,
    moves_of,
)
from event_trigger.triggers.zone_updates.replanning import TRIGGERS_PER_REPLAN, zones_in_use
from event_trigger.triggers.zone_updates.store import list_rules, load_rules, newest_by_zone

_PAST_COMPARED = timedelta(days=2)
_FUTURE_COMPARED = timedelta(days=366)


class _RulesBeforeAndAfter(NamedTuple):
    old: Rules | None
    new: Rules | None


async def moves_in_words(sessions: Sessions) -> AsyncIterator[str]:
    """Writes a line for each trigger; works also before this version has migrated the database."""
    async with sessions() as session:
        connection = await session.connection()
        migrated = await connection.run_sync(is_migrated)
        changes = await _changes(session, migrated=migrated)
        now = await database_now(session)
    differences = {zone: _difference(change, now) for zone, change in changes.items()}
    moves = Counter[bool]()
    for lines in (
        _lines_of_moves(sessions, changes, differences, migrated=migrated),
        _lines_of_deadlines(sessions, changes, differences),
    ):
        async for is_at_start, line in lines:
            moves[is_at_start] += 1
            yield line
    yield (
        f"Triggers that move at the next start: {moves[True]}; only within a year of it:"
        f" {moves[False]}."
    )
    if not migrated:
        return
    count = 0
    async with sessions() as session:
        async for line in _ended_by_rules(session):
            count += 1
            yield line
    yield f"Triggers that moved, as far as is on record: {count}."


_Lines = AsyncIterator[tuple[bool, str]]  # whether a trigger moves at the start, or only later


async def _lines_of_moves(
    sessions: Sessions,
    changes: Mapping[str, ZoneChange],
    differences: Mapping[str, datetime | None],
    *,
    migrated: bool,
) -> _Lines:
    async for batch in _pages(sessions, [*changes], migrated=migrated):
        for found in (moves := moves_of(batch, changes)):
            yield True, _line_of_move(found)
        moved_ids = {found.row.id for found in moves}
        for row in batch:
            at = None if row.id in moved_ids else differences[row.zone]
            if at is not None and (line := _line_of_later_move(row, changes[row.zone], at)):
                yield False, line


async def _lines_of_deadlines(
    sessions: Sessions,
    changes: Mapping[str, ZoneChange],
    differences: Mapping[str, datetime | None],
) -> _Lines:
    """Writes lines for heartbeats; those of later moves have the times of expected pings."""
    async for batch in _heartbeats(sessions, [*changes]):
        for one in batch:
            change, at = changes[one.zone], differences[one.zone]
            deadlines = _deadlines(one, change)
            if deadlines is None:
                continue
            if deadlines[0] != deadlines[1]:
                yield True, _line_of_heartbeat(one, change, "deadline", deadlines)
            elif at is not None and (line := _line_of_later_pings(one, change, at)):
                yield False, line


def _deadlines(one: ZonedHeartbeat, change: ZoneChange) -> tuple[datetime, datetime] | None:
    new = one.deadline_by(change.new)
    old = one.stored_deadline_at if change.old is None else one.deadline_by(change.old)
    return None if old is None or new is None else (old, new)


def _line_of_later_pings(one: ZonedHeartbeat, change: ZoneChange, at: datetime) -> str | None:
    read = [one.read(rules) for rules in (change.old, change.new)]
    times = [heartbeat.expected_after(at) for heartbeat in read if heartbeat is not None]
    return None if times[0] == times[1] else _line_of_heartbeat(one, change, "ping", times)


def _line_of_heartbeat(
    one: ZonedHeartbeat, change: ZoneChange, what: str, times: Sequence[datetime]
) -> str:
    details, texts = one.read_details(), [*map(instant_text, times)]
    return _line(one.id, details, change, texts, what=f"{what} of the heartbeat ")


async def _heartbeats(
    sessions: Sessions, zones: Sequence[str]
) -> AsyncIterator[list[ZonedHeartbeat]]:
    for shard in range(SHARDS) if zones else ():
        after, full = 0, True
        while full:
            async with sessions() as session:
                batch = await list_heartbeats(session, shard, zones, after=after)
            yield batch
            full = len(batch) == HEARTBEATS_PER_STEP
            after = batch[-1].id if batch else after


async def _changes(session: AsyncSession, *, migrated: bool) -> dict[str, ZoneChange]:
    """Returns the zones of which this machine has newer rules than the plans were made by."""
    now, changes = await database_now(session), dict[str, ZoneChange]()
    newest = newest_by_zone(await list_rules(session)) if migrated else {}
    await load_rules(session, [one.digest for one in newest.values()])
    for zone in sorted(await zones_in_use(session) | newest.keys()):
        machine, on_record = zone_rules().of_machine(zone), newest.get(zone)
        if machine is None:
            continue
        old = usual_rules(zone) if on_record is None else zone_rules().get_known(on_record.digest)
        if old is not None and not is_newer(machine.version, than=old.version):
            old = None
        if (old is None and on_record is not None) or (old and old.digest == machine.digest):
            continue
        for rules in filter(None, (old, machine)):
            zone_rules().remember(rules)
        changes[zone] = change_of(old, machine, since=now - _PAST_COMPARED, until=just_after(now))
    return changes


def _difference(change: ZoneChange, now: datetime) -> datetime | None:
    if change.old is None:
        return None
    until = just_after(now + _FUTURE_COMPARED)
    return first_difference(change.old.zone, change.new.zone, since=now, until=until)


async def _pages(
    sessions: Sessions, zones: Sequence[str], *, migrated: bool
) -> AsyncIterator[list[PlannedRow]]:
    for shard in range(SHARDS) if zones else ():
        after, full = 0, True
        while full:
            async with sessions() as session:
                batch = await PlannedRows(session).list_page(
                    shard, zones, after=after, limit=TRIGGERS_PER_REPLAN, migrated=migrated
                )
            yield batch
            full = len(batch) == TRIGGERS_PER_REPLAN
            after = batch[-1].id if batch else after


def _line_of_later_move(row: PlannedRow, change: ZoneChange, at: datetime) -> str | None:
    """Writes a line if the trigger moves only later, when the rules first differ, at `at`."""
    plan = readable_stored(row.details, anchor=row.anchor_at, resolved=row.resolved)
    if plan is None or row.zone_rules == change.new.digest:
        return None
    times = [_first_instant(plan, rules, just_after(at)) for rules in (change.old, change.new)]
    return None if times[0] == times[1] else _line(row.id, row.read_details(), change, times)


def _line_of_move(found: MovedTrigger) -> str:
    row = found.row
    times = [
        "none" if one is None else instant_text(one)
        for one in (row.next_fire_at, found.plan.next_fire_at)
    ]
    if row.next_fire_at is None:
        times = ["paused"] * 2
    return _line(row.id, row.read_details(), found.change, times)


def _line(
    trigger_id: int,
    details: Any,
    change: ZoneChange | _RulesBeforeAndAfter,
    times: Sequence[str],
    *,
    what: str = "",
) -> str:
    old, new = (
        "unknown" if one is None else one.version or "?" for one in (change.old, change.new)
    )
    what += f"{_local_times_of(details)} {details.get('timezone')}"
    return f"trigger {trigger_id}: {what} ({old} → {new}): {times[0]} → {times[1]}"


def _local_times_of(details: Any) -> str:
    """Returns the member that says which local times are meant."""
    names = ("cron", "rrule", "interval", "time")
    found = next((details[name] for name in names if details.get(name) is not None), None)
    return ", ".join(found) if isinstance(found, list) else str(found)


async def _ended_by_rules(session: AsyncSession) -> AsyncIterator[str]:
    """Writes a line for each version that newer rules ended; the next one may be in force."""
    ended = ScheduleVersion
    rows = await session.execute(
        select(ended, Trigger.in_force_after)
        .outerjoin(
            Trigger,
            (Trigger.shard == ended.shard)
            & (Trigger.id == ended.trigger_id)
            & (Trigger.version == ended.version + 1),
        )
        .where(ended.moved_to.is_not(None))
        .order_by(ended.trigger_id, ended.version),
        execution_options={ACROSS_SHARDS: "admin reads"},
    )
    for row, begins_after in rows.all():
        yield await _line_of_past_move(session, row, begins_after)


async def _line_of_past_move(
    session: AsyncSession, row: ScheduleVersion, begins_after: datetime | None
) -> str:
    digests = [row.zone_rules or "", row.moved_to or ""]
    await load_rules(session, digests)
    plan = readable_plan_of(row)
    old, new = map(zone_rules().get_known, digests)
    times = [
        _first_instant(plan, old, just_after(row.ends_at)),
        _first_instant(plan, new, None if begins_after is None else just_after(begins_after)),
    ]
    return _line(row.trigger_id, row.details, _RulesBeforeAndAfter(old, new), times)


def _first_instant(plan: Plan | None, rules: Rules | None, since: datetime | None) -> str:
    if plan is None or rules is None or since is None:
        return "unknown"
    instant = next_fire_at_or_after(planned_by(plan, rules.digest).schedule, since)
    return "none" if instant is None else instant_text(instant)
