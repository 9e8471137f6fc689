"""Deletes many locked triggers, as `triggers/lifecycle.py` deletes one, by a few statements."""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import RowChange, record_all
from event_trigger.models import ScheduleVersion, Trigger, TriggerType, UnfiredReason, shard_of
from event_trigger.sets.repository.members import SetRows
from event_trigger.sets.state import in_slices
from event_trigger.triggers.hook_port import HookKeeper, verify_in
from event_trigger.triggers.schedule_changes import end, schedule_before
from event_trigger.triggers.versions import NewUnfiredRange, ScheduleHistory, UnfiredRanges

_ROWS_A_STATEMENT = 250
_ROWS_AT_ONCE = 25  # of the event loop's time


async def remove_triggers(
    session: AsyncSession, hooks: HookKeeper, owner_id: int, ids: Sequence[int], *, now: datetime
) -> None:
    """Ends the schedules and deletes the triggers; records of their past stay as their events do.

    The entries in the audit log are those of single deletions.
    """
    rows = SetRows(session, owner_id)
    for some in in_slices(ids, _ROWS_A_STATEMENT):
        triggers = await rows.read_detached(some)
        entries = [RowChange(one.id, _audited(one), {}) for one in triggers]
        await _end_schedules(session, shard_of(owner_id), triggers, now=now)
        if hooked := [one.id for one in triggers if verify_in(one.details) is not None]:
            await hooks.delete(session, *hooked)
        await rows.delete_triggers(some)
        await rows.delete_tags(some, sorted({tag for one in triggers for tag in one.tags}))
        await record_all(session, Trigger.audited_as, entries, project_id=owner_id)


async def _end_schedules(
    session: AsyncSession, shard: int, triggers: Iterable[Trigger], *, now: datetime
) -> None:
    versions, unfired = list[ScheduleVersion](), list[NewUnfiredRange]()
    for place, trigger in enumerate(triggers):
        if place % _ROWS_AT_ONCE == 0:
            await asyncio.sleep(0)
        if trigger.type == TriggerType.SCHEDULED:
            old = schedule_before(trigger)
            version, due = end(trigger, old, UnfiredReason.DELETED, now=now)
            versions.append(version)
            unfired += [] if due is None else [due]
    await UnfiredRanges(session).record(shard, unfired)
    await ScheduleHistory(session).record_version(*versions)


def _audited(trigger: Trigger) -> dict[str, object]:
    values = {name: getattr(trigger, name) for name in Trigger.audited}
    return {name: value for name, value in values.items() if value is not None}
