"""What a trigger that has become due should do: arithmetic on its plan and the database's time."""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import NamedTuple, assert_never

from event_trigger.models import UnfiredReason
from event_trigger.triggers.catch_up import GRACE, MOST_CAUGHT_UP, CatchUp
from event_trigger.triggers.planning import Plan, Unfired
from event_trigger.triggers.schedule import (
    instants_between,
    latest_fire_between,
    newest_between,
    next_fire_after,
    stretch_between,
)

_MICROSECOND = timedelta(microseconds=1)


class Due(NamedTuple):
    """The instants to fire for, oldest first, and those that will not fire.

    With both, every instant up to `settled_until` is decided on; `next_fire_at` is the next one,
    perhaps due by now as well, and None completes the trigger.
    """

    fires: tuple[datetime, ...]
    unfired: tuple[Unfired, ...]
    settled_until: datetime
    next_fire_at: datetime | None


def due(plan: Plan, *, planned: datetime, now: datetime, fired: int, most: int = 1) -> Due:
    """Decides as `details.catch_up` says, and fires for at most `most` instants.

    `planned` is the stored `next_fire_at`, at most `now`; `fired` counts scheduled firings so far,
    and matters only where `max_fires` limits them.
    """
    following = next_fire_after(plan.schedule, planned)
    if now - planned <= GRACE and (following is None or following > now):  # as nearly always
        completes = plan.max_fires is not None and fired + 1 >= plan.max_fires
        return Due((planned,), (), planned, None if completes else following)
    newest = _newest(plan, planned=planned, now=now)
    first = _first_to_fire(plan, planned=planned, newest=newest, now=now)
    if first is None:
        unfired = _unfired(plan, first=planned, last=newest, now=now)
        return Due((), unfired, newest, plan.next_after(newest, fired=fired))
    if plan.max_fires is not None:
        most = min(most, plan.max_fires - fired)
    fires = _fires(plan, first=first, newest=newest, most=most)
    return Due(
        fires,
        _unfired(plan, first=planned, last=first - _MICROSECOND, now=now),
        fires[-1],
        plan.next_after(fires[-1], fired=fired + len(fires)),
    )


def _newest(plan: Plan, *, planned: datetime, now: datetime) -> datetime:
    """The newest due instant; what was planned by older rules for a zone counts as one too."""
    newest = latest_fire_between(plan.schedule, after=planned - _MICROSECOND, until=now)
    return newest or planned


def _first_to_fire(
    plan: Plan, *, planned: datetime, newest: datetime, now: datetime
) -> datetime | None:
    """Where catching up begins: from there on, every due instant fires."""
    match plan.catch_up:
        case CatchUp.LATEST:
            return newest if now - newest <= plan.looks_back else None
        case CatchUp.NONE:
            return newest if now - newest <= GRACE else None
        case CatchUp.ALL:
            horizon = max(planned, now - plan.looks_back) - _MICROSECOND
            if newest <= horizon:
                return None
            first = newest_between(plan.schedule, after=horizon, until=newest, most=MOST_CAUGHT_UP)
            return first or newest
        case _:
            assert_never(plan.catch_up)


def _fires(plan: Plan, *, first: datetime, newest: datetime, most: int) -> tuple[datetime, ...]:
    if first == newest:
        return (first,)
    waiting = instants_between(plan.schedule, after=first - _MICROSECOND, until=newest)
    return tuple(islice(waiting, most)) or (first,)


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
        stretch = stretch_between(plan.schedule, after=after, until=until)
        if stretch is not None:
            yield Unfired(stretch, reason)
