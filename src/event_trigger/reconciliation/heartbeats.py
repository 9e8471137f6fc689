"""Accounts for heartbeats: each change has one event, each event one change, and they alternate."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.shards import OwnedId
from event_trigger.models import ChangedState, EventType, Trigger, TriggerStatus, UnfiredReason
from event_trigger.reconciliation.reconcile import (
    Difference,
    Discrepancy,
    RecordedRange,
    Totals,
)
from event_trigger.reconciliation.repository import InstantRecords
from event_trigger.triggers.schedule.plan import UnfiredInstants
from event_trigger.triggers.schedule.schedules import InstantRange
from event_trigger.triggers.stored_plans import readable_heartbeat, state_of

_MARGIN = timedelta(hours=1)  # more than passes in a transaction, from its event to its change

_LIST_CHANGES = text("""
    SELECT event_id, state, changed_at FROM heartbeat_changes
    WHERE shard = :shard AND trigger_id = :trigger_id
        AND changed_at >= :since AND changed_at < :until
    ORDER BY id
""")
_LIST_EVENTS = text(f"""
    SELECT id, payload ->> 'state', triggered_at FROM events
    WHERE shard = :shard AND trigger_id = :trigger_id AND type = '{EventType.HEARTBEAT}'
        AND is_test = false AND triggered_at >= :since AND triggered_at < :until
    ORDER BY id
""")  # noqa: S608


class Told(NamedTuple):
    """A change of a heartbeat on record, or the event that tells it."""

    event_id: int
    state: str
    at: datetime


class HeartbeatRecords(NamedTuple):
    """The records of a heartbeat from an hour before a span to an hour after it."""

    changes: Sequence[Told]
    events: Sequence[Told]
    missed: Sequence[RecordedRange]


async def read_heartbeat(
    session: AsyncSession, key: OwnedId, *, since: datetime, until: datetime
) -> HeartbeatRecords:
    wanted = {
        "shard": key.shard,
        "trigger_id": key.id,
        "since": since - _MARGIN,
        "until": until + _MARGIN,
    }
    changes = [Told(*row) for row in await session.execute(_LIST_CHANGES, wanted)]
    events = [Told(*row) for row in await session.execute(_LIST_EVENTS, wanted)]
    rows = await InstantRecords(session).list_unfired(key, since=since, until=until)
    missed = [
        RecordedRange(
            one.version,
            UnfiredInstants(
                InstantRange(one.first_at, one.last_at, one.count), UnfiredReason(one.reason)
            ),
        )
        for one in rows
    ]
    return HeartbeatRecords(changes, events, missed)


def reconcile_heartbeat(
    found: HeartbeatRecords, trigger: Trigger | None, *, since: datetime, until: datetime
) -> Totals:
    """Compares the changes in `[since, until)` with the events; `planned` counts what was decided.

    1. Each change has its event, of the same state, and each event has its change.
    2. Two changes in a row are not the same.
    3. The trigger is silent if its last change says so.
    """
    totals = Totals()
    events = {one.event_id: one for one in found.events}
    known = {one.event_id for one in found.changes}
    changes = [one for one in found.changes if since <= one.at < until]
    totals.planned = len(changes)
    for one in changes:
        event = events.get(one.event_id)
        if event is None or event.state != one.state:
            totals.differences.append(_at(Discrepancy.UNEXPLAINED, one))
        else:
            totals.fired += 1
    totals.differences += [
        _at(Discrepancy.UNPLANNED, one)
        for one in found.events
        if since <= one.at < until and one.event_id not in known
    ]
    totals.differences += _contradictions(found.changes, trigger)
    for each in found.missed:
        totals.planned += each.unfired.instants.count
        totals.unfired[each.unfired.reason] += each.unfired.instants.count
    return totals


def is_pending(trigger: Trigger, *, now: datetime) -> bool:
    """Tells whether a heartbeat's deadline has passed, and nothing has been decided yet."""
    heartbeat = readable_heartbeat(trigger.details)
    if heartbeat is None or trigger.status != TriggerStatus.ACTIVE:
        return False
    deadline_at = state_of(trigger).deadline(heartbeat)
    return deadline_at is not None and deadline_at <= now


def _contradictions(changes: Sequence[Told], trigger: Trigger | None) -> Iterator[Difference]:
    for one, following in pairwise(changes):
        if one.state == following.state:
            yield _at(Discrepancy.CONTRADICTORY, following)
    if trigger is not None and changes:
        is_silent = trigger.silent_since is not None
        if is_silent != (changes[-1].state == ChangedState.SILENT):
            yield _at(Discrepancy.CONTRADICTORY, changes[-1])


def _at(kind: Discrepancy, told: Told) -> Difference:
    return Difference(kind, told.at, told.at)
