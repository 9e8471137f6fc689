"""Merges the planned instants of many triggers in their order, with bounded work."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from event_trigger.triggers.schedule.plan import Plan, readable_plan
from event_trigger.triggers.schedule.schedules import count_in, instants_in

MOST_INSTANTS = 10_000


class PlannedTrigger(NamedTuple):
    """An active trigger as it is stored; `next_fire_at` is its first instant, due ones too."""

    id: int
    key: str | None
    name: str | None
    details: dict[str, object]
    anchor_at: datetime
    next_fire_at: datetime
    scheduled_count: int


class PlannedFiring(NamedTuple):
    at: datetime
    trigger: PlannedTrigger


@dataclass(frozen=True, slots=True)
class Forecast:
    """Planned firings in order; if `is_cut`, there are more after the last one."""

    firings: list[PlannedFiring]
    is_cut: bool


def forecast(
    triggers: Iterable[PlannedTrigger], *, since: datetime, until: datetime, most: int
) -> Forecast:
    """Merges the instants in `[since, until)` of triggers that are sorted by `next_fire_at`.

    Reading only as many triggers as it needs, it gives at most `most` firings.
    """
    merged = _merged(triggers, since=since, until=until)
    firings = list(islice(merged, most))
    return Forecast(firings, next(merged, None) is not None)


def counts_by_step(
    firings: Iterable[PlannedFiring], *, since: datetime, until: datetime, step: timedelta
) -> list[int]:
    """Counts firings by steps from `since` on; the last step may reach beyond `until`."""
    counts = [0] * -((since - until) // step)
    for one in firings:
        counts[(one.at - since) // step] += 1
    return counts


def _merged(
    triggers: Iterable[PlannedTrigger], *, since: datetime, until: datetime
) -> Iterator[PlannedFiring]:
    """Keeps one open walk for each trigger that has begun, by its next instant and its id."""
    waiting: list[tuple[datetime, int, PlannedTrigger, Iterator[datetime]]] = []
    for trigger in triggers:
        yield from _until(waiting, trigger.next_fire_at)
        _push(waiting, trigger, _instants(trigger, since=since, until=until))
    yield from _until(waiting, until)


def _until(
    waiting: list[tuple[datetime, int, PlannedTrigger, Iterator[datetime]]], end: datetime
) -> Iterator[PlannedFiring]:
    """Takes the instants before `end`, at which another trigger begins."""
    while waiting and waiting[0][0] < end:
        at, _, trigger, instants = heapq.heappop(waiting)
        yield PlannedFiring(at, trigger)
        _push(waiting, trigger, instants)


def _push(
    waiting: list[tuple[datetime, int, PlannedTrigger, Iterator[datetime]]],
    trigger: PlannedTrigger,
    instants: Iterator[datetime],
) -> None:
    at = next(instants, None)
    if at is not None:
        heapq.heappush(waiting, (at, trigger.id, trigger, instants))


def _instants(trigger: PlannedTrigger, *, since: datetime, until: datetime) -> Iterator[datetime]:
    """Walks a trigger's instants; none if this version cannot read its details."""
    plan = readable_plan(trigger.details, anchor=trigger.anchor_at)
    if plan is None:
        return iter(())
    return _left(plan, trigger, since=since, until=until)


def _left(
    plan: Plan, trigger: PlannedTrigger, *, since: datetime, until: datetime
) -> Iterator[datetime]:
    """Walks the instants in a window, of those that are planned from `next_fire_at` on."""
    begin = max(since, trigger.next_fire_at)
    instants = instants_in(plan.schedule, since=begin, until=until)
    if plan.max_fires is None:
        return instants
    spent = count_in(plan.schedule, since=trigger.next_fire_at, until=begin)
    return islice(instants, max(0, plan.max_fires - trigger.scheduled_count - spent))
