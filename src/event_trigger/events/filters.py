"""Turns the filters of the log into SQL: conditions, and the index ranges that they read."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, NamedTuple, Self, TypeVarTuple

from sqlalchemy import Select, or_, text

from event_trigger.db.keyset import combinations, quoted_choices
from event_trigger.events.source import SourceKind
from event_trigger.events.window import TimeWindow
from event_trigger.models import NOT_OF_DELETED_PROJECTS, Event, EventType, shard_of

Columns = TypeVarTuple("Columns")

_ANY_TIME = TimeWindow(datetime(1970, 1, 1, tzinfo=UTC), None)
_IS_TEST = (("is_test = false", False), ("is_test = true", True))
_OF_OWNER = "shard = :shard AND owner_id = :owner_id"
_MOST_TRIGGERS = 100  # for a key that is limited to more, all events of the project are read
# FROM items: the ranges of an index are read for each of these triggers
_EACH_TRIGGER = "unnest(CAST(:trigger_ids AS bigint[])) AS wanted (wanted_id)"
_EACH_SHARD_AND_TRIGGER = """
    unnest(CAST(:shards AS smallint[]), CAST(:trigger_ids AS bigint[]))
        AS wanted (wanted_shard, wanted_id)
"""
# Citus does not run the above across nodes
_AMONG_SHARDS_AND_TRIGGERS = (
    "shard = ANY (CAST(:shards AS smallint[]))"
    " AND trigger_id = ANY (CAST(:trigger_ids AS bigint[]))"
)


@dataclass(frozen=True, slots=True)
class EventFilter:
    """Selects events by owner (None is all owners), time, kind, triggers (None is all), source."""

    owner_id: int | None
    window: TimeWindow
    type: EventType | None = None
    is_test: bool | None = None
    trigger_ids: Collection[int] | None = None
    source: SourceKind | None = None

    def within(self, window: TimeWindow) -> Self:
        """Does the same in another window; `dataclasses.replace` takes several times as long."""
        kind = type(self)
        return kind(self.owner_id, window, self.type, self.is_test, self.trigger_ids, self.source)

    @property
    def types(self) -> Sequence[EventType]:
        """Returns the types of the events: schedules make no calls, and calls no scheduled ones."""
        return _types_of(self.type, self.source)

    @property
    def stored_source(self) -> SourceKind | None:
        """Returns the `source_kind` of the events.

        Scheduled ones have none, and are known by their type. Of a schedule's, only heartbeats have
        one: those whose deadline passed.
        """
        is_scheduled = self.source is SourceKind.SCHEDULE and self.type is not EventType.HEARTBEAT
        return None if is_scheduled else self.source

    def type_conditions(self, *, by_source: bool) -> Sequence[str]:
        """Returns a condition for each type; with `by_source`, an index has the source alone."""
        by_deadline = f"source_kind = '{SourceKind.SCHEDULE}'"
        narrowed = by_deadline if by_source else f"type = '{EventType.HEARTBEAT}' AND {by_deadline}"
        is_narrow = self.source is SourceKind.SCHEDULE
        return [
            narrowed if is_narrow and one is EventType.HEARTBEAT else f"type = {quoted}"
            for one, quoted in zip(self.types, quoted_choices(self.types, EventType), strict=True)
        ]

    @property
    def selects_none(self) -> bool:
        return not self.types or (self.trigger_ids is not None and not self.trigger_ids)


@dataclass(frozen=True, slots=True)
class Selection:
    """The conditions of each index range, those of all ranges, and the values of parameters.

    With `each`, a FROM item, every range is read for each of its rows.
    """

    ranges: tuple[str, ...]
    conditions: tuple[str, ...]
    values: dict[str, Any]
    each: str | None = None


def select_events(
    wanted: EventFilter,
    *,
    shards: Mapping[int, int],
    before: tuple[datetime, int] | None,
    in_cluster: bool,
) -> Selection:
    """Returns an index range for each kind of events: the indexes have the kind before the time.

    A kind is a type, tests or not. A project's events also have an index by their source instead of
    their type; for single triggers and for admins, a source is a condition on the calls.
    `shards` are those of the triggers, if an admin asks for some.
    """
    conditions, values = _within(wanted.window)
    if before is not None:  # the instant is repeated alone, which prunes partitions
        conditions += ("triggered_at <= :before_at", "(triggered_at, id) < (:before_at, :before)")
        values |= {"before_at": before[0], "before": before[1]}
    prefix, more, parameters, each = _prefix(wanted, shards, in_cluster=in_cluster)
    ranges, made_by = _ranges(prefix, wanted.type, wanted.source, wanted.is_test)
    return Selection(ranges, (*more, *made_by, *conditions), values | parameters, each)


@cache  # of constants of the code: a page's ranges take as long as a tenth of the page
def _ranges(
    prefix: str, kind: EventType | None, source: SourceKind | None, is_test: bool | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the conditions of each range, and the condition of all ranges on the source."""
    wanted = EventFilter(None, _ANY_TIME, kind, is_test, source=source)
    kinds, made_by = wanted.type_conditions(by_source=prefix == _OF_OWNER), tuple[str, ...]()
    if wanted.stored_source is not None:
        made_by = (f"source_kind = '{wanted.stored_source}'",)
        if prefix == _OF_OWNER:
            kinds, made_by = made_by, ()
    tests = [condition for condition, one in _IS_TEST if is_test in {None, one}]
    return combinations([prefix], kinds, tests), made_by


@cache
def _types_of(kind: EventType | None, source: SourceKind | None) -> Sequence[EventType]:
    is_schedule = source is SourceKind.SCHEDULE
    left_out = {
        EventType.API if is_schedule else None,
        EventType.SCHEDULED if source is not None and not is_schedule else None,
    }
    return [one for one in EventType if kind in {None, one} and one not in left_out]


def narrow(statement: Select[*Columns], wanted: EventFilter) -> Select[*Columns]:
    """Adds all conditions of a filter but its window."""
    if wanted.owner_id is not None:
        statement = statement.where(
            Event.shard == shard_of(wanted.owner_id), Event.owner_id == wanted.owner_id
        )
    else:
        statement = statement.where(text(NOT_OF_DELETED_PROJECTS))
    if len(wanted.types) < len(EventType):
        statement = statement.where(Event.type.in_(wanted.types))
    if wanted.source is SourceKind.SCHEDULE:
        statement = statement.where(
            or_(Event.type == EventType.SCHEDULED, Event.source_kind == SourceKind.SCHEDULE)
        )
    if wanted.stored_source is not None:
        statement = statement.where(Event.source_kind == wanted.stored_source)
    if wanted.is_test is not None:
        statement = statement.where(Event.is_test == wanted.is_test)
    if wanted.trigger_ids is not None:
        statement = statement.where(Event.trigger_id.in_(wanted.trigger_ids))
    return statement


class _Prefix(NamedTuple):
    """A condition on the first columns of an index, further conditions, their values, and `each`.

    Each is written so that PostgreSQL can use one index only: that of all owners' events has the
    condition `id > 0`, and IS NOT DISTINCT FROM keeps the owner from being looked up in an index.
    """

    condition: str
    also: tuple[str, ...]
    values: dict[str, Any]
    each: str | None = None


def _prefix(wanted: EventFilter, shards: Mapping[int, int], *, in_cluster: bool) -> _Prefix:
    ids = None if wanted.trigger_ids is None else sorted(wanted.trigger_ids)
    if wanted.owner_id is None:
        return _prefix_of_all_owners(ids, shards, in_cluster=in_cluster)
    values: dict[str, Any] = {"shard": shard_of(wanted.owner_id), "owner_id": wanted.owner_id}
    if ids is None:
        return _Prefix(_OF_OWNER, (), values)
    owned = ("owner_id IS NOT DISTINCT FROM :owner_id",)
    if len(ids) > _MOST_TRIGGERS:
        among = "trigger_id = ANY (CAST(:trigger_ids AS bigint[]))"
        return _Prefix(_OF_OWNER, (among,), values | {"trigger_ids": ids})
    if len(ids) == 1:
        prefix = "shard = :shard AND trigger_id = :trigger_id"
        return _Prefix(prefix, owned, values | {"trigger_id": ids[0]})
    values |= {"trigger_ids": ids}
    return _Prefix("shard = :shard AND trigger_id = wanted_id", owned, values, _EACH_TRIGGER)


def _prefix_of_all_owners(
    ids: Sequence[int] | None, shards: Mapping[int, int], *, in_cluster: bool
) -> _Prefix:
    also = (NOT_OF_DELETED_PROJECTS,)
    if ids is None:
        return _Prefix("id > 0", also, {})
    values = {"shards": [shards.get(one, 0) for one in ids], "trigger_ids": ids}
    if in_cluster:
        return _Prefix(_AMONG_SHARDS_AND_TRIGGERS, also, values)
    prefix = "shard = wanted_shard AND trigger_id = wanted_id"
    return _Prefix(prefix, also, values, _EACH_SHARD_AND_TRIGGER)


def _within(window: TimeWindow) -> tuple[tuple[str, ...], dict[str, Any]]:
    if window.end is None:
        return ("triggered_at >= :start",), {"start": window.start}
    conditions = ("triggered_at >= :start", "triggered_at < :end")
    return conditions, {"start": window.start, "end": window.end}
