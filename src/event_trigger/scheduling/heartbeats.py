"""Judges heartbeats whose deadline is due: silent ones fire, and the others are looked at later."""

import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import NamedTuple

import structlog
from sqlalchemy import text

from event_trigger.db.notify import TRIGGERS_CHANGED, notify_rows
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId, ShardedStatement, by_shard
from event_trigger.deliveries.outbox import store_deliveries
from event_trigger.events.event_writer import NAMED, STORED, ShardedWriter
from event_trigger.events.heartbeat_changes import NewChange, record_changes
from event_trigger.events.source import EventSource, SourceKind
from event_trigger.models import EventType, UnfiredReason
from event_trigger.notices.changes import Change
from event_trigger.scheduling.beats import list_outages
from event_trigger.scheduling.due_spans import DueSpans
from event_trigger.scheduling.full_projects import full_projects
from event_trigger.scheduling.limits import BatchLimits
from event_trigger.scheduling.repository import ClaimedTrigger
from event_trigger.telemetry import EVENTS_FIRED, FIRING_LAG
from event_trigger.triggers.schedule.heartbeat import (
    Alive,
    Heartbeat,
    Silent,
    Unjudged,
    heartbeat_of_stored,
    judge,
)
from event_trigger.triggers.schedule.pings import HeartbeatEvent, HeartbeatState, silence
from event_trigger.triggers.schedule.plan import UnfiredInstants
from event_trigger.triggers.schedule.schedules import InstantRange
from event_trigger.triggers.versions import NewUnfiredRange, UnfiredRanges

log = structlog.get_logger()

_AGAIN_AFTER = timedelta(minutes=1)  # a silent heartbeat whose project has no room for events
_SOURCE = EventSource(SourceKind.SCHEDULE)

SetAside = Callable[[ClaimedTrigger, Exception], Awaitable[Change]]

_INSERT_EVENTS = """
    INSERT INTO events (shard, owner_id, trigger_id, type, triggered_at, scheduled_for, payload,
        is_test, source_kind, source, xid)
    SELECT {fired}, fired.owner_id, fired.trigger_id, :type, now(),
        fired.scheduled_for, CAST(fired.payload AS json), false, :source_kind,
        CAST(:source AS json), {xid}
    FROM unnest(
        CAST(:fired_shards AS smallint[]), CAST(:owner_ids AS bigint[]),
        CAST(:fired_ids AS bigint[]), CAST(:scheduled_fors AS timestamptz[]),
        CAST(:payloads AS text[])
    ) WITH ORDINALITY AS fired (shard, owner_id, trigger_id, scheduled_for, payload, place)
    ORDER BY fired.place
"""
_MOVE_ON = """
    UPDATE triggers SET
        anchor_at = moved.anchor_at, next_fire_at = moved.next_fire_at,
        silent_since = moved.silent_since,
        settled_until = GREATEST(triggers.settled_until, moved.settled_until),
        last_fired_at = coalesce(moved.silent_since, triggers.last_fired_at),
        fire_count = triggers.fire_count
            + CASE WHEN moved.silent_since IS NULL THEN 0 ELSE 1 END
    FROM unnest(
        CAST(:shards AS smallint[]), CAST(:ids AS bigint[]), CAST(:anchors AS timestamptz[]),
        CAST(:next_fire_ats AS timestamptz[]), CAST(:silent_sinces AS timestamptz[]),
        CAST(:settled_untils AS timestamptz[])
    ) AS moved (shard, id, anchor_at, next_fire_at, silent_since, settled_until)
    WHERE triggers.shard = {moved} AND triggers.id = moved.id
"""
_WRITER, _TRACED_WRITER = (
    ShardedWriter(_INSERT_EVENTS, _MOVE_ON, returns=returns) for returns in (STORED, NAMED)
)
_SELECT_PREDEFINED = """
    SELECT triggers.id, CAST(payload AS text)
    FROM unnest(CAST(:fired_shards AS smallint[]), CAST(:fired_ids AS bigint[]))
        AS fired (shard, id)
    JOIN triggers ON triggers.shard = {shard} AND triggers.id = fired.id
    WHERE payload IS NOT NULL
"""
_READ_PREDEFINED = ShardedStatement(
    *(text(_SELECT_PREDEFINED.format(shard=one)) for one in (":shard", "fired.shard"))
)


class Judged(NamedTuple):
    """A claimed heartbeat, and what is stored of it: its state, its next deadline, and its event.

    `missed` is a deadline that says nothing, because of an outage.
    """

    trigger: ClaimedTrigger
    state: HeartbeatState
    next_fire_at: datetime | None
    event: HeartbeatEvent | None = None
    missed: datetime | None = None


async def fire_heartbeats(
    session: ReadSession,
    claimed: Sequence[ClaimedTrigger],
    lines: list[Callable[[], None]],
    set_aside: SetAside,
    limits: BatchLimits,
    *,
    began: float,
) -> tuple[list[Change], list[ClaimedTrigger]]:
    """Judges claimed heartbeats and stores the outcome.

    Returns what is to be told of it, and the heartbeats beyond the limits, which stay due.

    1. Read each one; one that cannot be read is set aside alone.
    2. List the outages of the service in which their pings may have been lost, and judge.
    3. Put deadlines that say nothing on record.
    4. Store the events of silent ones, with their change and their deliveries; move all on.

    Silent ones whose project has no room for events are judged again after a minute.
    """
    read: list[tuple[ClaimedTrigger, Heartbeat]] = []
    news: list[Change] = []
    for one in claimed:
        try:
            read.append((one, heartbeat_of_stored(one.details)))
        except Exception as error:
            news.append(await set_aside(one, error))
    if not read:
        return news, []
    since = min(heartbeat.listened_from(one.anchor_at) for one, heartbeat in read)
    outages = await list_outages(session, since=since)
    judged, waiting = list[Judged](), iter(read)
    for one, heartbeat in waiting:
        base = one.anchor_at
        found = judge(heartbeat, base=base, now=one.now, outages=outages)
        judged.append(_decide(one, heartbeat, found))
        if not limits.take(one.payload_size if judged[-1].event is not None else 0):
            break
    await _record_missed(session, judged)
    lines.append((await _store(session, judged)).end)
    full = {one.trigger.owner_id for one in judged if one.trigger.has_no_room}
    if full:
        lines.append(partial(full_projects.note, full))
    lines.append(partial(_tell, [one for one in judged if one.event or one.missed], began))
    return news, [one for one, _ in waiting]


def _decide(
    trigger: ClaimedTrigger, heartbeat: Heartbeat, found: Silent | Alive | Unjudged
) -> Judged:
    state = HeartbeatState(trigger.anchor_at, trigger.last_ping_at, trigger.run_started_at)
    if isinstance(found, Alive):
        return Judged(trigger, state, found.deadline_at)
    if isinstance(found, Unjudged):
        again = state._replace(base=found.base)
        return Judged(trigger, again, found.next_deadline_at, missed=found.deadline_at)
    if trigger.has_no_room:
        return Judged(trigger, state, trigger.now + _AGAIN_AFTER)
    silent = silence(state, heartbeat, now=trigger.now)
    return Judged(trigger, silent.state, None, event=silent.event)


async def _record_missed(session: ReadSession, judged: Sequence[Judged]) -> None:
    missed = [
        NewUnfiredRange(
            one.trigger.owner_id,
            one.trigger.id,
            one.trigger.version,
            UnfiredInstants(InstantRange(one.missed, one.missed, 1), UnfiredReason.MISSED),
        )
        for one in judged
        if one.missed is not None
    ]
    for shard, ranges in by_shard(missed).items():
        await UnfiredRanges(session).record(shard, ranges)


async def _store(session: ReadSession, judged: Sequence[Judged]) -> DueSpans:
    """Stores what was judged, and gives the spans that end with the commit."""
    spans = DueSpans(EventType.HEARTBEAT)
    shards = [one.trigger.shard for one in judged]
    moved = {
        "shard": shards[0],
        "shards": shards,
        "ids": [one.trigger.id for one in judged],
        "anchors": [one.state.base for one in judged],
        "next_fire_ats": [one.next_fire_at for one in judged],
        "silent_sinces": [one.state.silent_since for one in judged],
        "settled_untils": [
            one.missed or (one.event.deadline_at if one.event else None) for one in judged
        ],
    }
    silent = [(one.trigger, one.event) for one in judged if one.event is not None]
    if not silent:
        await _WRITER.on(shards).update_triggers(session, moved)
        return spans
    fired_shards = [trigger.shard for trigger, _ in silent]
    fired = {"fired_shards": fired_shards, "fired_ids": [trigger.id for trigger, _ in silent]}
    statement, values = _READ_PREDEFINED.on(fired_shards)
    rows = await session.execute(statement, {**values, **fired})
    predefined: dict[int, str] = {row[0]: row[1] for row in rows}
    stored = sorted(
        await (_WRITER if spans.tracer is None else _TRACED_WRITER)
        .on(shards)
        .write(
            session,
            {trigger.owner_id for trigger, _ in silent},
            {
                **moved,
                **fired,
                "type": EventType.HEARTBEAT,
                "source_kind": SourceKind.SCHEDULE,
                "source": _SOURCE.as_json(),
                "owner_ids": [trigger.owner_id for trigger, _ in silent],
                "scheduled_fors": [event.deadline_at for _, event in silent],
                "payloads": [
                    event.payload_over(predefined.get(trigger.id)) for trigger, event in silent
                ],
            },
        )
    )
    changes = [
        NewChange(
            OwnedId(trigger.owner_id, trigger.id),
            event.state,
            event.reason,
            event.deadline_at,
            made.id,
        )
        for (trigger, event), made in zip(silent, stored, strict=True)
    ]
    await record_changes(session, changes)
    traces = await spans.start(stored, ((one.id, one.owner_id) for one, _ in silent))
    if any(trigger.has_destinations for trigger, _ in silent):
        await store_deliveries(session, stored, shards=fired_shards, traces=traces, announces=True)
    await notify_rows(session, TRIGGERS_CHANGED, [(one.owner_id, one.id) for one, _ in silent])
    return spans


def _tell(judged: Sequence[Judged], began: float) -> None:
    """Counts committed events and logs changes."""
    since = time.perf_counter() - began
    for trigger, _, _, event, missed in judged:
        if event is not None and event.deadline_at is not None:
            EVENTS_FIRED[EventType.HEARTBEAT, False].inc()
            lag = (trigger.now - event.deadline_at).total_seconds() + since
            FIRING_LAG[EventType.HEARTBEAT].observe(lag)
            deadline = event.deadline_at.isoformat()
            log.warning("heartbeat_silent", trigger_id=trigger.id, deadline=deadline)
        elif missed is not None:
            log.warning("heartbeat_unjudged", trigger_id=trigger.id, deadline=missed.isoformat())
