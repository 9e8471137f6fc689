"""Plans again the triggers that newer zone rules move: once for all replicas."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions, create_engine, create_sessions
from event_trigger.db.notify import SCHEDULE_CHANGED, notify
from event_trigger.instants import just_after
from event_trigger.models import SHARDS
from event_trigger.triggers.schedule.zone_rules import Rules, is_newer, usual_rules, zone_rules
from event_trigger.triggers.zone_updates.deadlines import move_deadlines
from event_trigger.triggers.zone_updates.moves import (
    MovedTrigger,
    PlannedRows,
    PlanRewrite,
    ZoneChange,
    change_of,
    moves_of,
)
from event_trigger.triggers.zone_updates.store import (
    RecordedRules,
    ZoneStore,
    adopt_recorded_rules,
    list_rules,
    load_rules,
    newest_by_zone,
    rules_before,
)

log = structlog.get_logger()

TRIGGERS_PER_REPLAN = 1000
MARKER_ZONE = "UTC"  # on record as a marker: the zones in use are recorded up to its version
_REPLANNING_LOCK_ID = 0x6576_747A  # "evtz": the replica that holds it plans, others wait
_MARGIN = timedelta(days=2)  # an instant depends on the offsets a day before and after it


async def plan_by_newest_rules(engine: AsyncEngine, *, keep_for: timedelta) -> None:
    """Plans every trigger by the newest zone rules: at start, and when another replica adds some.

    A trigger that comes due in between is planned again when it fires.

    1. Adopts the rules on record, and stops if they are the newest and all plans are by them.
    2. Waits for the lock, and records this machine's rules where they are newer.
    3. Plans moved triggers again, in short transactions; schedule versions keep the old plans.
    4. Marks the zones as done. After a kill before that, the next process does them again.
    """
    sessions = create_sessions(engine)
    async with sessions() as session:
        if not _is_behind(await adopt_recorded_rules(session)):
            return
    # without timeouts, as the lock may be held for long
    patient_engine = create_engine(engine.url, connections=1, answer_within=None)
    try:
        async with patient_engine.begin() as connection:
            await _wait_for_lock(connection)
            await _plan_under_lock(sessions, keep_for)
    finally:
        await patient_engine.dispose()


class ZoneRulesFollower:
    """Adopts the rules that other replicas put on record."""

    def __init__(self, engine: AsyncEngine, *, keep_for: timedelta) -> None:
        self._engine = engine
        self._sessions = create_sessions(engine)
        self._keep_for = keep_for
        self._newest_seen = -1

    async def follow(self) -> None:
        async with self._sessions() as session:
            newest = await ZoneStore(session).newest_id()
        if newest != self._newest_seen:
            await plan_by_newest_rules(self._engine, keep_for=self._keep_for)
            self._newest_seen = newest


def _is_behind(recorded: Sequence[RecordedRules]) -> bool:
    """Tells whether there are triggers to plan again, or newer rules to record."""
    newest = newest_by_zone(recorded)
    return (
        _has_unknown_zones(newest)
        or any(one.planned_at is None for one in newest.values())
        or any(_newer_rules_of_machine(one) is not None for one in newest.values())
    )


def _has_unknown_zones(newest: Mapping[str, RecordedRules]) -> bool:
    """Tells whether this version has yet to look for zones in use that are not on record."""
    marker = newest.get(MARKER_ZONE)
    return marker is None or is_newer(zone_rules().version, than=marker.version)


def _newer_rules_of_machine(one: RecordedRules) -> Rules | None:
    machine = zone_rules().of_machine(one.zone)
    if machine is None or machine.digest == one.digest:
        return None
    return machine if is_newer(machine.version, than=one.version) else None


async def _wait_for_lock(connection: AsyncConnection) -> None:
    for limit in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
        await connection.execute(text(f"SET LOCAL {limit} = 0"))
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _REPLANNING_LOCK_ID}
    )


async def _plan_under_lock(sessions: Sessions, keep_for: timedelta) -> None:
    async with sessions.begin() as session:
        now = await database_now(session)
        await _record_newer_rules(session, now)
        await notify(session, SCHEDULE_CHANGED)
    async with sessions() as session:
        recorded = await adopt_recorded_rules(session)
        since = now - keep_for - _MARGIN
        changes = await _changes_of(session, recorded, since=since, until=just_after(now))
    moved = 0
    if changes:
        for shard in range(SHARDS):
            moved += await _plan_shard(sessions, shard, changes)
    async with sessions.begin() as session:
        done = [one.digest for one in recorded if one.planned_at is None]
        await ZoneStore(session).mark_planned(done, at=now)
        if _has_unknown_zones(newest := newest_by_zone(recorded)):
            marker = newest[MARKER_ZONE]
            await ZoneStore(session).set_version(marker.digest, zone_rules().version)
        await notify(session, SCHEDULE_CHANGED)
    if moved:
        log.warning("planned_again", zones=sorted(changes), triggers=moved)


async def _record_newer_rules(session: AsyncSession, now: datetime) -> None:
    store = ZoneStore(session)
    newest = newest_by_zone(await list_rules(session))
    for one in newest.values():
        if (machine := _newer_rules_of_machine(one)) is not None:
            await store.add(machine, planned_at=None)
    if not _has_unknown_zones(newest):
        return
    for zone in await zones_in_use(session) | {MARKER_ZONE}:
        if zone not in newest and (machine := zone_rules().of_machine(zone)) is not None:
            usual = usual_rules(zone)
            if usual is not None and is_newer(machine.version, than=usual.version):
                await store.add(usual, planned_at=now)
            await store.add(machine, planned_at=None)


async def zones_in_use(session: AsyncSession) -> set[str]:
    """Collects the zones of all crons, as they are written."""
    rows = PlannedRows(session)
    return {zone for shard in range(SHARDS) for zone in await rows.list_zones(shard)}


async def _changes_of(
    session: AsyncSession, recorded: Sequence[RecordedRules], *, since: datetime, until: datetime
) -> dict[str, ZoneChange]:
    """Returns the changes of the zones whose triggers are not planned by the newest rules yet."""
    newest = newest_by_zone(recorded)
    fresh = [one for zone, one in newest.items() if one.planned_at is None and zone != MARKER_ZONE]
    replaced = {one.zone: rules_before(recorded, one) for one in fresh}
    old = {zone: one.digest for zone, one in replaced.items() if one is not None}
    await load_rules(session, [*old.values(), *(one.digest for one in fresh)])
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


async def _plan_shard(sessions: Sessions, shard: int, changes: Mapping[str, ZoneChange]) -> int:
    moved, after = 0, 0
    while True:
        async with sessions.begin() as session:
            rows = PlannedRows(session)
            batch = await rows.list_page(shard, [*changes], after=after, limit=TRIGGERS_PER_REPLAN)
            ids = [one.row.id for one in await asyncio.to_thread(moves_of, batch, changes)]
            if ids:
                locked = await rows.list_locked(shard, ids)
                found = await asyncio.to_thread(moves_of, locked, changes)
                await rows.rewrite(shard, [*map(_rewrite_of, found)])
                moved += len(found)
        if len(batch) < TRIGGERS_PER_REPLAN:
            break
        after = batch[-1].id
    return moved + await move_deadlines(sessions, shard, [*changes])


def _rewrite_of(moved: MovedTrigger) -> PlanRewrite:
    old = moved.change.old
    return PlanRewrite(
        moved.row,
        since=moved.plan.since,
        next_fire_at=moved.plan.next_fire_at,
        old_rules=None if old is None else old.digest,
        new_rules=moved.change.new.digest,
    )
