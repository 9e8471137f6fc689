"""Keeps the table of the triggers that name a calendar in step with the triggers' details.

A replica of an older version leaves rows there of triggers that it deletes, or that name the
calendar no more. So they are joined with triggers, and a row that is there already may stay.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import delete, event, inspect, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from event_trigger.models import Trigger, TriggerCalendar, shard_of
from event_trigger.triggers.schedule.details import calendars_of


@event.listens_for(Session, "after_flush")
def _follow_flush(session: Session, _: object) -> None:
    """Writes the rows of the new, changed and deleted triggers of a flush."""
    for one in _triggers_in(session.new):
        _write(session, one, before=frozenset(), after=_named(one.details))
    for one in _triggers_in(session.dirty):
        history = inspect(one).attrs.details.history
        if history.has_changes() and history.deleted:
            _write(session, one, before=_named(history.deleted[0]), after=_named(one.details))
    for one in _triggers_in(session.deleted):
        _write(session, one, before=_named(one.details), after=frozenset())


def _triggers_in(rows: Iterable[Any]) -> list[Trigger]:
    return sorted((one for one in rows if isinstance(one, Trigger)), key=lambda one: one.id)


def _named(details: Mapping[str, Any] | None) -> frozenset[str]:
    return frozenset(calendars_of(details or {}))


def _write(
    session: Session, trigger: Trigger, *, before: frozenset[str], after: frozenset[str]
) -> None:
    if gone := before - after:
        places = [(key, trigger.id) for key in gone]
        session.execute(
            delete(TriggerCalendar).where(
                TriggerCalendar.shard == trigger.shard,
                TriggerCalendar.owner_id == trigger.owner_id,
                tuple_(TriggerCalendar.calendar_key, TriggerCalendar.trigger_id).in_(places),
            ),
            execution_options={"synchronize_session": False},
        )
    if new := sorted(after - before):
        rows = [_row(trigger, key) for key in new]
        session.execute(insert(TriggerCalendar).on_conflict_do_nothing(), rows)


def _row(trigger: Trigger, key: str) -> dict[str, Any]:
    return {
        "shard": trigger.shard,
        "owner_id": trigger.owner_id,
        "calendar_key": key,
        "trigger_id": trigger.id,
    }


async def forget_calendars(session: AsyncSession, owner_id: int, ids: Sequence[int]) -> None:
    """Deletes the rows of triggers that a statement has deleted."""
    await session.execute(
        delete(TriggerCalendar).where(
            TriggerCalendar.shard == shard_of(owner_id),
            TriggerCalendar.owner_id == owner_id,
            TriggerCalendar.trigger_id.in_(ids),
        ),
        execution_options={"synchronize_session": False},
    )
