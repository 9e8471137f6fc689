"""Plans again what newer zone rules move: once for all replicas, before anything fires by them."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.db.notify import SCHEDULE_CHANGED, notify
from event_trigger.models import SHARDS
from event_trigger.triggers.schedule.plan import readable_stored
from event_trigger.triggers.schedule.schedules import Cron
from event_trigger.triggers.schedule.zone_moves import (
    Move,
    Standing,
    first_difference,
    moved_plan,
    planned_by,
)
from event_trigger.triggers.schedule.zone_rules import Rules, is_newer, usual_rules, zone_rules
from event_trigger.triggers.zone_updates.planned_rows import PlannedRow, PlannedRows, Rewritten
from event_trigger.triggers.zone_updates.store import OnRecord, ZoneStore, adopt, before, in_force

log = structlog.get_logger()

BATCH = 1000
MARKER = "UTC"  # its version is that by which all zones in use were looked for
_LOCK = 0x6576_747A  # "evtz": whoever holds this advisory lock plans again, the others wait
_MARGIN = timedelta(days=2)  # what is shown there depends on the offsets a day before and after


class Change(NamedTuple):
    """Newer rules of a zone; the old ones are None where nobody knows them."""

    old: Rules | None
    new: Rules
    past_differs: bool


class MovedTrigger(NamedTuple):
    """A trigger that moves."""

    row: PlannedRow
    change: Change
    move: Move


async def plan_by_newest_rules(engine: AsyncEngine, *, keep_for: timedelta) -> None:
    """Sees to it that every plan is one by the newest rules; called before anything may fire.

    1. Adopts what is on record, and ends if that is the newest and all is planned by it.
    2. Waits for the lock, and puts this machine's rules on record where they are newer.
    3. Plans again, in short transactions, what moves; a version of the schedule keeps the old plan.
    4. Notes that the zone is done: a process that was killed meanwhile left it to the next one.
    """
    sessions = create_sessions(engine)
    async with sessions() as session:
        if not _is_behind(await adopt(session)):
            return
    patient = create_engine(engine.url, connections=1, answer_within=None)
    try:
        async with patient.begin() as connection:
            await _wait_for_lock(connection)
            await _plan_alone(sessions, keep_for)
    finally:
        await patient.dispose()


class ZoneRulesFollower:
    """Notices rules that other replicas put on record: those are in force here too."""

    def __init__(self, engine: AsyncEngine, *, keep_for: timedelta) -> None:
        self._engine = engine
        self._sessions = create_sessions(engine)
        self._keep_for = keep_for
        self._seen = -1

    async def follow(self) -> None:
        async with self._sessions() as session:
            newest = await ZoneStore(session).newest_id()
        if newest != self._seen:
            await plan_by_newest_rules(self._engine, keep_for=self._keep_for)
            self._seen = newest


def _is_behind(found: Sequence[OnRecord]) -> bool:
    """Whether there is something to plan, or newer rules to put on record."""
    newest = in_force(found)
    return (
        _has_unknown_zones(newest)
        or any(one.planned_at is None for one in newest.values())
        or any(_machine_has_newer(one) is not None for one in newest.values())
    )


def _has_unknown_zones(newest: Mapping[str, OnRecord]) -> bool:
    """Whether this version looks for zones the first time: some may be used and not on record."""
    marker = newest.get(MARKER)
    return marker is None or is_newer(zone_rules().version, marker.version)


def _machine_has_newer(one: OnRecord) -> Rules | None:
    machine = zone_rules().of_machine(one.zone)
    if machine is None or machine.digest == one.digest:
        return None
    return machine if is_newer(machine.version, one.version) else None


async def _wait_for_lock(connection: AsyncConnection) -> None:
    for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        await connection.execute(text(f"SET LOCAL {limit} = 0"))
    await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


async def _plan_alone(sessions: Sessions, keep_for: timedelta) -> None:
    async with sessions.begin() as session:
        now = await database_now(session)
        await _put_on_record(session, now)
        await notify(session, SCHEDULE_CHANGED)
    async with sessions() as session:
        found = await adopt(session)
        changes = await _changes_of(session, found, since=now - keep_for - _MARGIN, until=now)
    moved = 0
    if changes:
        for shard in range(SHARDS):
            moved += await _plan_shard(sessions, shard, changes)
    async with sessions.begin() as session:
        done = [one.digest for one in found if one.planned_at is None]
        await ZoneStore(session).mark_planned(done, at=now)
        if _has_unknown_zones(marker := in_force(found)):
            await ZoneStore(session).confirm(marker[MARKER].digest, zone_rules().version)
        await notify(session, SCHEDULE_CHANGED)
    if moved:
        log.warning("planned_again", zones=sorted(changes), triggers=moved)


async def _put_on_record(session: AsyncSession, now: datetime) -> None:
    store = ZoneStore(session)
    newest = in_force(await store.list_all())
    for one in newest.values():
        if (machine := _machine_has_newer(one)) is not None:
            await store.add(machine, planned_at=None)
    if not _has_unknown_zones(newest):
        return
    for zone in await zones_in_use(session) | {MARKER}:
        if zone not in newest and (machine := zone_rules().of_machine(zone)) is not None:
            usual = usual_rules(zone)
            if usual is not None and is_newer(machine.version, usual.version):
                await store.add(usual, planned_at=now)
            await store.add(machine, planned_at=None)


async def zones_in_use(session: AsyncSession) -> set[str]:
    """The zones of all crons, as they are written."""
    rows = PlannedRows(session)
    return {zone for shard in range(SHARDS) for zone in await rows.list_zones(shard)}


async def _changes_of(
    session: AsyncSession, found: Sequence[OnRecord], *, since: datetime, until: datetime
) -> dict[str, Change]:
    """The zones that are not planned by their newest rules yet, as far as those differ."""
    newest = in_force(found)
    fresh = [one for zone, one in newest.items() if one.planned_at is None and zone != MARKER]
    replaced = {one.zone: before(found, one) for one in fresh}
    old = {zone: one.digest for zone, one in replaced.items() if one is not None}
    await ZoneStore(session).load([*old.values(), *(one.digest for one in fresh)])
    changes = {}
    for one in fresh:
        new = zone_rules().get_known(one.digest)
        assert new is not None
        change = change_of(
            zone_rules().get_known(old[one.zone]) if one.zone in old else None,
            new,
            since=since,
            until=until,
        )
        changes[one.zone] = change
    return changes


def change_of(old: Rules | None, new: Rules, *, since: datetime, until: datetime) -> Change:
    """`since` and `until` are the ends of the past that is accounted for."""
    if old is None:
        return Change(None, new, past_differs=False)
    difference = first_difference(old.zone, new.zone, since=since, until=until)
    return Change(old, new, past_differs=difference is not None)


async def _plan_shard(sessions: Sessions, shard: int, changes: Mapping[str, Change]) -> int:
    moved, after = 0, 0
    while True:
        async with sessions.begin() as session:
            rows = PlannedRows(session)
            batch = await rows.list_page(shard, [*changes], after=after, limit=BATCH)
            ids = [one.row.id for one in await asyncio.to_thread(moves_of, batch, changes)]
            if ids:
                locked = await rows.list_locked(shard, ids)
                found = await asyncio.to_thread(moves_of, locked, changes)
                await rows.rewrite(shard, [*map(_rewritten, found)])
                moved += len(found)
        if len(batch) < BATCH:
            return moved
        after = batch[-1].id


def moves_of(batch: Sequence[PlannedRow], changes: Mapping[str, Change]) -> list[MovedTrigger]:
    """Those whose plan is another by the newer rules, and was not made by them already."""
    found = []
    for row in batch:
        change = changes.get(row.zone)
        if change is None or row.zone_rules == change.new.digest:
            continue
        move = _move_of(row, change)
        if move is not None:
            found.append(MovedTrigger(row, change, move))
    return found


def _move_of(row: PlannedRow, change: Change) -> Move | None:
    plan = readable_stored(row.details, anchor=row.anchor_at)
    if plan is None or not isinstance(plan.schedule, Cron):
        return None  # it is set aside when it is due
    old = None if change.old is None else planned_by(plan, change.old.digest)
    at = Standing(row.in_force_after, row.settled_until, row.next_fire_at, row.scheduled_count)
    new = planned_by(plan, change.new.digest)
    return moved_plan(old, new, at, past_differs=change.past_differs)


def _rewritten(found: MovedTrigger) -> Rewritten:
    old = found.change.old
    return Rewritten(
        found.row,
        after=found.move.after,
        next_fire_at=found.move.next_fire_at,
        old_rules=None if old is None else old.digest,
        new_rules=found.change.new.digest,
    )
