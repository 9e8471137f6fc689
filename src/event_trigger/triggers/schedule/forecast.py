"""Merges the planned instants of many triggers in their order, with bounded work."""

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple

from event_trigger.triggers.schedule.details import Resolved
from event_trigger.triggers.schedule.plan import Plan, readable_stored
from event_trigger.triggers.schedule.schedules import count_in, instants_in

MOST_INSTANTS = 10_000


class PlannedTrigger(NamedTuple):
    """An active trigger as it is stored; `next_fire_at` is its first instant, due ones too.

    `details` is JSON text without the schema of payloads.
    """

    id: int
    key: str | None
    name: str | None
    details: str
    anchor_at: datetime
    next_fire_at: datetime
    scheduled_count: int
    excluded_days: Sequence[int] | None = None
    shift_seconds: int | None = None


class PlannedFiring(NamedTuple):
    at: datetime
    trigger: PlannedTrigger


@dataclass(frozen=True, slots=True)
class Forecast:
    """Planned firings in order: all before `complete_until`, or all if that is None."""

    firings: list[PlannedFiring]
    complete_until: datetime | None


# the open walks of triggers, by their next instants and ids
_Waiting = list[tuple[datetime, int, PlannedTrigger, Iterator[datetime]]]


def forecast(
    triggers: Iterable[PlannedTrigger],
    *,
    since: datetime,
    until: datetime,
    most: int,
    is_over: Callable[[], bool],
) -> Forecast:
    """Merges the instants in `[since, until)` of triggers that are sorted by `next_fire_at`.

    It gives at most `most` firings, and begins with no further trigger once `is_over` says so.
    """
    waiting: _Waiting = []
    firings: list[PlannedFiring] = []
    known_until = since
    for trigger in triggers:
        known_until = min(until, max(since, trigger.next_fire_at))
        _take(waiting, firings, until=trigger.next_fire_at, most=most + 1)
        if len(firings) > most or is_over():
            break
        _push(waiting, trigger, _instants(trigger, since=since, until=until))
    else:
        _take(waiting, firings, until=until, most=most + 1)
        if len(firings) <= most:
            return Forecast(firings, None)
    if len(firings) > most:
        return Forecast(firings[:most], firings[most - 1].at)
    return Forecast(firings, known_until)


def counts_by_step(
    firings: Iterable[PlannedFiring], *, since: datetime, until: datetime, step: timedelta
) -> list[int]:
    """Counts firings by steps from `since` on; the last step may reach beyond `until`."""
    counts = [0] * -((since - until) // step)
    for one in firings:
        counts[(one.at - since) // step] += 1
    return counts


def _take(waiting: _Waiting, firings: list[PlannedFiring], *, until: datetime, most: int) -> None:
    """Takes the instants before `until`, at which another trigger begins; `most` firings in all."""
    while len(firings) < most and waiting and waiting[0][0] < until:
        at, _, trigger, instants = heapq.heappop(waiting)
        firings.append(PlannedFiring(at, trigger))
        _push(waiting, trigger, instants)


def _push(waiting: _Waiting, trigger: PlannedTrigger, instants: Iterator[datetime]) -> None:
    at = next(instants, None)
    if at is not None:
        heapq.heappush(waiting, (at, trigger.id, trigger, instants))


def _instants(trigger: PlannedTrigger, *, since: datetime, until: datetime) -> Iterator[datetime]:
    """Walks a trigger's instants; none if this version cannot read its details."""
    plan = readable_stored(
        trigger.details,
        anchor=trigger.anchor_at,
        resolved=Resolved.of(trigger.excluded_days, trigger.shift_seconds),
    )
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
