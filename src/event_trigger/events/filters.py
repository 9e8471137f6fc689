"""Which events to read, and the stretches of the log's indexes where they are."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVarTuple

from sqlalchemy import Select

from event_trigger.db.keyset import combinations, quoted_choices
from event_trigger.events.window import TimeWindow
from event_trigger.models import Event, EventType, shard_of

Columns = TypeVarTuple("Columns")

_BOTH = (("is_test = false", False), ("is_test = true", True))
_FEW = 20  # a stretch for each of so many triggers; for more, all that their owner has is read


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Which events to read: whose (None is everybody's), when, of what kind, of which triggers."""

    owner_id: int | None
    window: TimeWindow
    trigger_id: int | None = None
    type: EventType | None = None
    is_test: bool | None = None
    trigger_ids: Collection[int] | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """Conditions in SQL: each lane's, those of all lanes, and what their parameters are."""

    lanes: Sequence[str]
    conditions: tuple[str, ...]
    values: dict[str, Any]


def select_events(
    wanted: EventFilter, *, shard: int | None, before: tuple[datetime, int] | None
) -> Selection:
    """Each kind of events is a lane of its own: the indexes have the kind before the time.

    `shard` is where the trigger is that an admin asks for.
    """
    conditions, values = _within(wanted.window)
    if before is not None:  # said twice: the instant alone prunes partitions
        conditions += ("triggered_at <= :before_at", "(triggered_at, id) < (:before_at, :before)")
        values |= {"before_at": before[0], "before": before[1]}
    whose, more, parameters = _whose(wanted, shard)
    lanes = combinations(
        whose,
        [f"type = {one}" for one in quoted_choices(wanted.type, EventType)],
        _tests(wanted.is_test),
    )
    return Selection(lanes, (*more, *conditions), values | parameters)


def narrow(statement: Select[*Columns], wanted: EventFilter) -> Select[*Columns]:
    """All of the filter but the window."""
    if wanted.owner_id is not None:
        statement = statement.where(
            Event.shard == shard_of(wanted.owner_id), Event.owner_id == wanted.owner_id
        )
    if wanted.trigger_id is not None:
        statement = statement.where(Event.trigger_id == wanted.trigger_id)
    if wanted.type is not None:
        statement = statement.where(Event.type == wanted.type)
    if wanted.is_test is not None:
        statement = statement.where(Event.is_test == wanted.is_test)
    if wanted.trigger_ids is not None:
        statement = statement.where(Event.trigger_id.in_(wanted.trigger_ids))
    return statement


def _whose(
    wanted: EventFilter, shard: int | None
) -> tuple[list[str], tuple[str, ...], dict[str, Any]]:
    """The beginnings of index entries; what they leave to be looked at; their parameters.

    Each is said so that only its own index will do: that of everybody's events wants `id > 0`, and
    an owner that is compared with IS NOT DISTINCT FROM is looked for in no index.
    """
    if wanted.owner_id is None:
        if wanted.trigger_id is None:
            return ["id > 0"], (), {}
        values = {"shard": shard, "trigger_id": wanted.trigger_id}
        return ["shard = :shard AND trigger_id = :trigger_id"], (), values
    values = {"shard": shard_of(wanted.owner_id), "owner_id": wanted.owner_id}
    owned = ["shard = :shard AND owner_id = :owner_id"]
    ids = _triggers(wanted)
    if ids is None:
        return owned, (), values
    if len(ids) > _FEW:
        among = "trigger_id = ANY (CAST(:trigger_ids AS bigint[]))"
        return owned, (among,), values | {"trigger_ids": ids}
    named = {f"trigger_{place}": one for place, one in enumerate(ids)}
    lanes = [f"shard = :shard AND trigger_id = :{name}" for name in named]
    return lanes, ("owner_id IS NOT DISTINCT FROM :owner_id",), values | named


def _triggers(wanted: EventFilter) -> list[int] | None:
    """None is all of them."""
    allowed, asked = wanted.trigger_ids, wanted.trigger_id
    if asked is None:
        return None if allowed is None else sorted(allowed)
    return [asked] if allowed is None or asked in allowed else []


def _tests(wanted: bool | None) -> list[str]:
    return [condition for condition, one in _BOTH if wanted in {None, one}]


def _within(window: TimeWindow) -> tuple[tuple[str, ...], dict[str, Any]]:
    if window.end is None:
        return ("triggered_at >= :start",), {"start": window.start}
    ends = ("triggered_at >= :start", "triggered_at < :end")
    return ends, {"start": window.start, "end": window.end}
