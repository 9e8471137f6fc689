"""What a trigger that has become due should do: arithmetic on its plan and the database's time."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple, assert_never

from event_trigger.models.unfired_reason import UnfiredReason
from event_trigger.triggers.schedule.plan import GRACE, MOST_CAUGHT_UP, CatchUp, Plan, Unfired
from event_trigger.triggers.schedule.schedules import (
    Schedule,
    instants_between,
    latest_fire_between,
    newest_between,
    next_fire_after,
    range_between,
)

_MICROSECOND = timedelta(microseconds=1)


class Decision(NamedTuple):
    """The instants to fire for, oldest first, and those that will not fire.

    With both, every instant up to `settled_until` is decided on; `next_fire_at` is the next one,
    perhaps due by now as well, and None completes the trigger.
    """

    fires: tuple[datetime, ...]
    unfired: tuple[Unfired, ...]
    settled_until: datetime
    next_fire_at: datetime | None


def decide(plan: Plan, *, planned: datetime, now: datetime, fired: int, most: int = 1) -> Decision:
    """Decides as `details.catch_up` says, and fires for at most `most` instants.

    It says so of missed instants alone: each that is at most 5 s late fires in any case.

    `planned` is the stored `next_fire_at`, at most `now`; `fired` counts scheduled firings so far,
    and matters only where `max_fires` limits them.
    """
    following = next_fire_after(plan.schedule, planned)
    if now - planned <= GRACE and (following is None or following > now):  # as nearly always
        completes = plan.max_fires is not None and fired + 1 >= plan.max_fires
        return Decision((planned,), (), planned, None if completes else following)
    waiting = _Waiting(plan.schedule, planned, now)
    first = _first_to_fire(plan, waiting)
    if first is None:
        newest = waiting.newest_until(now) or planned
        unfired = _unfired(plan, first=planned, last=newest, now=now)
        return Decision((), unfired, newest, plan.next_after(newest, fired=fired))
    if plan.max_fires is not None:
        most = min(most, plan.max_fires - fired)
    fires = waiting.fires(first, most)
    return Decision(
        fires,
        _unfired(plan, first=planned, last=first - _MICROSECOND, now=now),
        fires[-1],
        plan.next_after(fires[-1], fired=fired + len(fires)),
    )


class _Waiting(NamedTuple):
    """The instants that are due: `planned`, even where a zone's rules no longer have it, and on."""

    schedule: Schedule
    planned: datetime
    now: datetime

    @property
    def missed_until(self) -> datetime:
        """The last moment whose instants are missed; later ones are hardly late."""
        return self.now - GRACE - _MICROSECOND

    def newest_until(self, until: datetime) -> datetime | None:
        if until < self.planned:
            return None
        return latest_fire_between(self.schedule, after=self.planned, until=until) or self.planned

    def first_hardly_late(self) -> datetime | None:
        after = self.missed_until
        if self.planned > after:
            return self.planned
        first = next_fire_after(self.schedule, after)
        return first if first is not None and first <= self.now else None

    def fires(self, first: datetime, most: int) -> tuple[datetime, ...]:
        """The first `most` from `first` on."""
        later = instants_between(self.schedule, after=first, until=self.now)
        return (first, *islice(later, most - 1))


def _first_to_fire(plan: Plan, waiting: _Waiting) -> datetime | None:
    """Where firing begins: from there on, every due instant fires."""
    missed_until = waiting.missed_until
    newest = waiting.newest_until(missed_until)
    first: datetime | None = None
    match plan.catch_up:
        case CatchUp.NONE:
            pass
        case CatchUp.LATEST:
            if newest is not None and waiting.now - newest <= plan.looks_back:
                first = newest
        case CatchUp.ALL:
            horizon = max(waiting.planned, waiting.now - plan.looks_back) - _MICROSECOND
            if newest is not None and newest > horizon:
                found = newest_between(
                    plan.schedule, after=horizon, until=newest, most=MOST_CAUGHT_UP
                )
                first = found or newest
        case _:
            assert_never(plan.catch_up)
    return first or waiting.first_hardly_late()


def _unfired(plan: Plan, *, first: datetime, last: datetime, now: datetime) -> tuple[Unfired, ...]:
    """Why the instants from `first` to `last` do not fire."""
    if last < first:
        return ()
    after, horizon = first - _MICROSECOND, now - plan.looks_back - _MICROSECOND
    match plan.catch_up:
        case CatchUp.NONE:
            parts = [(after, last, UnfiredReason.MISSED)]
        case CatchUp.ALL:
            parts = [(after, last, UnfiredReason.EXPIRED)]
        case CatchUp.LATEST:
            old = min(max(after, horizon), last)
            parts = [(after, old, UnfiredReason.EXPIRED), (old, last, UnfiredReason.COALESCED)]
        case _:
            assert_never(plan.catch_up)
    return tuple(_stretches(plan, parts))


def _stretches(
    plan: Plan, parts: Iterable[tuple[datetime, datetime, UnfiredReason]]
) -> Iterator[Unfired]:
    for after, until, reason in parts:
        stretch = range_between(plan.schedule, after=after, until=until)
        if stretch is not None:
            yield Unfired(stretch, reason)
