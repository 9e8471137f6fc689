"""Decides which due instants of a trigger fire, by its plan and the database's time."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import NamedTuple, assert_never

from event_trigger.instants import just_after
from event_trigger.models.unfired_reason import UnfiredReason
from event_trigger.triggers.schedule.plan import (
    MAX_CAUGHT_UP,
    MISSED_AFTER,
    CatchUp,
    Plan,
    UnfiredInstants,
)
from event_trigger.triggers.schedule.schedules import (
    Schedule,
    first_of_newest,
    instants_in,
    latest_fire_in,
    next_fire_at_or_after,
    range_in,
)


class Decision(NamedTuple):
    """The instants that fire, oldest first, and the instants that do not.

    Together they are all due instants up to and including `settled_until`. `next_fire_at` is the
    next instant, which may be due already; None completes the trigger.
    """

    fires: tuple[datetime, ...]
    unfired: tuple[UnfiredInstants, ...]
    settled_until: datetime
    next_fire_at: datetime | None


def decide(plan: Plan, *, planned: datetime, now: datetime, fired: int, most: int = 1) -> Decision:
    """Decides on due instants as `details.catch_up` says, and fires at most `most` of them.

    `catch_up` applies to missed instants: each that is at most 5 s late fires in any case.
    `planned` is the stored `next_fire_at`, at most `now`; `fired` is the count of scheduled firings
    so far, and matters only with `max_fires`.

    1. Fires the planned instant if it is on time and the only one due, as nearly always.
    2. Finds the first due instant that fires; all from there on do.
    3. Without one, puts all due instants on record as unfired.
    4. Else fires up to `most`, and puts the older ones on record.
    """
    following = next_fire_at_or_after(plan.schedule, just_after(planned))
    if now - planned <= MISSED_AFTER and (following is None or following > now):
        completes = plan.max_fires is not None and fired + 1 >= plan.max_fires
        return Decision((planned,), (), planned, None if completes else following)
    due = _DueInstants(plan.schedule, planned, now)
    first = _first_to_fire(plan, due)
    if first is None:
        settled_until = due.latest_before(due.until) or planned
        unfired = _unfired(plan, since=planned, until=due.until, now=now)
        next_fire_at = plan.next_at_or_after(just_after(settled_until), fired=fired)
        return Decision((), unfired, settled_until, next_fire_at)
    if plan.max_fires is not None:
        most = min(most, plan.max_fires - fired)
    fires = due.take(most, first=first)
    return Decision(
        fires,
        _unfired(plan, since=planned, until=first, now=now),
        fires[-1],
        plan.next_at_or_after(just_after(fires[-1]), fired=fired + len(fires)),
    )


def fail_due(plan: Plan, *, planned: datetime, now: datetime, fired: int) -> Decision:
    """Puts all due instants on record as failed: what they would store has no room."""
    due = _DueInstants(plan.schedule, planned, now)
    settled_until = due.latest_before(due.until) or planned
    parts = [(planned, due.until, UnfiredReason.FAILED)]
    next_fire_at = plan.next_at_or_after(just_after(settled_until), fired=fired)
    return Decision((), tuple(_not_empty(plan, parts)), settled_until, next_fire_at)


class _DueInstants(NamedTuple):
    """The due instants: `planned`, even if newer zone rules no longer name it, and later ones."""

    schedule: Schedule
    planned: datetime
    now: datetime

    @property
    def until(self) -> datetime:
        return just_after(self.now)

    @property
    def missed_before(self) -> datetime:
        """The start of the grace period: older instants are missed, later ones are on time."""
        return self.now - MISSED_AFTER

    def latest_before(self, until: datetime) -> datetime | None:
        if until <= self.planned:
            return None
        return latest_fire_in(self.schedule, since=self.planned, until=until) or self.planned

    def first_on_time(self) -> datetime | None:
        if self.planned >= self.missed_before:
            return self.planned
        first = next_fire_at_or_after(self.schedule, self.missed_before)
        return first if first is not None and first < self.until else None

    def take(self, most: int, *, first: datetime) -> tuple[datetime, ...]:
        later = instants_in(self.schedule, since=just_after(first), until=self.until)
        return (first, *islice(later, most - 1))


def _first_to_fire(plan: Plan, due: _DueInstants) -> datetime | None:
    """Finds the oldest due instant that fires: the first to catch up with, or the first on time."""
    newest_missed = due.latest_before(due.missed_before)
    first: datetime | None = None
    match plan.catch_up:
        case CatchUp.NONE:
            pass
        case CatchUp.LATEST:
            if newest_missed is not None and due.now - newest_missed <= plan.looks_back:
                first = newest_missed
        case CatchUp.ALL:
            horizon = max(due.planned, due.now - plan.looks_back)
            if newest_missed is not None and newest_missed >= horizon:
                oldest_missed = first_of_newest(
                    plan.schedule, since=horizon, until=due.missed_before, most=MAX_CAUGHT_UP
                )
                first = oldest_missed or newest_missed
        case _:
            assert_never(plan.catch_up)
    return first or due.first_on_time()


def _unfired(
    plan: Plan, *, since: datetime, until: datetime, now: datetime
) -> tuple[UnfiredInstants, ...]:
    """Returns the reasons for the instants in `[since, until)`, which do not fire."""
    if since >= until:
        return ()
    match plan.catch_up:
        case CatchUp.NONE:
            parts = [(since, until, UnfiredReason.MISSED)]
        case CatchUp.ALL:
            parts = [(since, until, UnfiredReason.EXPIRED)]
        case CatchUp.LATEST:
            horizon = min(max(since, now - plan.looks_back), until)
            parts = [
                (since, horizon, UnfiredReason.EXPIRED),
                (horizon, until, UnfiredReason.COALESCED),
            ]
        case _:
            assert_never(plan.catch_up)
    return tuple(_not_empty(plan, parts))


def _not_empty(
    plan: Plan, parts: Iterable[tuple[datetime, datetime, UnfiredReason]]
) -> Iterator[UnfiredInstants]:
    for since, until, reason in parts:
        instants = range_in(plan.schedule, since=since, until=until)
        if instants is not None:
            yield UnfiredInstants(instants, reason)
