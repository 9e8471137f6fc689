"""Turns the filters of the log into SQL: conditions, and the index ranges that they read."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVarTuple

from sqlalchemy import Select, text

from event_trigger.db.keyset import combinations, quoted_choices
from event_trigger.events.window import TimeWindow
from event_trigger.models import NOT_OF_DELETED_PROJECTS, Event, EventType, shard_of

Columns = TypeVarTuple("Columns")

_IS_TEST = (("is_test = false", False), ("is_test = true", True))
_MOST_TRIGGER_RANGES = 20  # for more triggers, all events of their owner are read


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events by owner (None is all owners), time, kind and trigger."""

    owner_id: int | None
    window: TimeWindow
    trigger_id: int | None = None
    type: EventType | None = None
    is_test: bool | None = None
    trigger_ids: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The conditions of each index range, those of all ranges, and the values of parameters."""

    ranges: tuple[str, ...]
    conditions: tuple[str, ...]
    values: dict[str, Any]


def select_events(
    wanted: EventFilter, *, shard: int | None, before: tuple[datetime, int] | None
) -> Selection:
    """Returns an index range for each kind of events: the indexes have the kind before the time.

    `shard` is that of the trigger, if an admin asks for one.
    """
    conditions, values = _within(wanted.window)
    if before is not None:  # the instant is repeated alone, which prunes partitions
        conditions += ("triggered_at <= :before_at", "(triggered_at, id) < (:before_at, :before)")
        values |= {"before_at": before[0], "before": before[1]}
    prefixes, more, parameters = _prefixes(wanted, shard)
    ranges = combinations(
        prefixes,
        [f"type = {one}" for one in quoted_choices(wanted.type, EventType)],
        [condition for condition, is_test in _IS_TEST if wanted.is_test in {None, is_test}],
    )
    return Selection(ranges, (*more, *conditions), values | parameters)


def narrow(statement: Select[*Columns], wanted: EventFilter) -> Select[*Columns]:
    """Adds all conditions of a filter but its window."""
    if wanted.owner_id is not None:
        statement = statement.where(
            Event.shard == shard_of(wanted.owner_id), Event.owner_id == wanted.owner_id
        )
    else:
        statement = statement.where(text(NOT_OF_DELETED_PROJECTS))
    if wanted.trigger_id is not None:
        statement = statement.where(Event.trigger_id == wanted.trigger_id)
    if wanted.type is not None:
        statement = statement.where(Event.type == wanted.type)
    if wanted.is_test is not None:
        statement = statement.where(Event.is_test == wanted.is_test)
    if wanted.trigger_ids is not None:
        statement = statement.where(Event.trigger_id.in_(wanted.trigger_ids))
    return statement


def _prefixes(
    wanted: EventFilter, shard: int | None
) -> tuple[list[str], tuple[str, ...], dict[str, Any]]:
    """Returns conditions on the first columns of an index, further conditions, and their values.

    Each is written so that PostgreSQL can use one index only: that of all owners' events has the
    condition `id > 0`, and IS NOT DISTINCT FROM keeps the owner from being looked up in an index.
    """
    if wanted.owner_id is None:
        if wanted.trigger_id is None:
            return ["id > 0"], (NOT_OF_DELETED_PROJECTS,), {}
        values = {"shard": shard, "trigger_id": wanted.trigger_id}
        ranges = ["shard = :shard AND trigger_id = :trigger_id"]
        return ranges, (NOT_OF_DELETED_PROJECTS,), values
    values = {"shard": shard_of(wanted.owner_id), "owner_id": wanted.owner_id}
    owned = ["shard = :shard AND owner_id = :owner_id"]
    ids = _trigger_ids(wanted)
    if ids is None:
        return owned, (), values
    if len(ids) > _MOST_TRIGGER_RANGES:
        among = "trigger_id = ANY (CAST(:trigger_ids AS bigint[]))"
        return owned, (among,), values | {"trigger_ids": ids}
    named = {f"trigger_{number}": trigger_id for number, trigger_id in enumerate(ids)}
    prefixes = [f"shard = :shard AND trigger_id = :{name}" for name in named]
    return prefixes, ("owner_id IS NOT DISTINCT FROM :owner_id",), values | named


def _trigger_ids(wanted: EventFilter) -> list[int] | None:
    """Returns the ids of the selected triggers; None is all triggers."""
    allowed, trigger_id = wanted.trigger_ids, wanted.trigger_id
    if trigger_id is None:
        return None if allowed is None else sorted(allowed)
    return [trigger_id] if allowed is None or trigger_id in allowed else []


def _within(window: TimeWindow) -> tuple[tuple[str, ...], dict[str, Any]]:
    if window.end is None:
        return ("triggered_at >= :start",), {"start": window.start}
    conditions = ("triggered_at >= :start", "triggered_at < :end")
    return conditions, {"start": window.start, "end": window.end}
