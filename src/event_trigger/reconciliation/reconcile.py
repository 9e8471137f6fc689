"""Compares what schedules planned with what is on record: arithmetic that trusts neither."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise

from event_trigger.models import UnfiredReason
from event_trigger.triggers.schedule.plan import Unfired
from event_trigger.triggers.schedule.schedules import (
    Schedule,
    count_between,
    instants_between,
    next_fire_after,
    range_between,
)

_MICROSECOND = timedelta(microseconds=1)


class Discrepancy(StrEnum):
    """In which way planned and recorded differ."""

    UNEXPLAINED = "unexplained"  # planned: neither an event nor a reason
    REPEATED = "repeated"  # planned: more than one event
    CONTRADICTORY = "contradictory"  # on record as not fired, twice, or beside an event
    MISCOUNTED = "miscounted"  # on record as not fired: not what the schedule has there
    UNPLANNED = "unplanned"  # an event, or a reason, for what no schedule planned
    UNREADABLE = "unreadable"  # a schedule that makes no sense any more


@dataclass(frozen=True, slots=True)
class Difference:
    """Where planned and recorded differ: `count` instants from `first` to `last`."""

    kind: Discrepancy
    first: datetime
    last: datetime
    count: int = 1


@dataclass(frozen=True, slots=True)
class Era:
    """One version of a schedule in force: it planned its instants in `(after, until]`.

    `schedule` is None where it can no longer be read.
    """

    version: int
    schedule: Schedule | None
    after: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class RecordedRange:
    """A range on record as not fired."""

    version: int
    unfired: Unfired


@dataclass(slots=True)
class Totals:
    """The sums of a span of time; they are even if `differences` is empty."""

    planned: int = 0
    fired: int = 0
    unfired: Counter[UnfiredReason] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: "Totals") -> None:
        self.planned += other.planned
        self.fired += other.fired
        self.unfired += other.unfired
        self.differences += other.differences


def reconcile(
    eras: Sequence[Era],
    recorded: Sequence[RecordedRange],
    fired: Sequence[datetime],
    *,
    after: datetime,
    until: datetime,
) -> Totals:
    """Accounts for the instants in `(after, until]`; `fired` are its events' instants, sorted.

    Eras overlap only where newer rules of a zone had local times due that were yet to come by the
    old ones; recorded ranges may reach beyond the span.
    """
    account, seen = Totals(), 0
    for era, share in zip(eras, _shares(eras, fired), strict=True):
        start, end = max(era.after, after), min(era.until, until)
        if start >= end:
            continue
        events = _within(share, start, end)
        seen += len(events)
        if era.schedule is None:
            account.differences.append(Difference(Discrepancy.UNREADABLE, start, end))
            continue
        mine = [one.unfired for one in recorded if one.version == era.version]
        account.add(_reconcile_era(era.schedule, mine, events, after=start, until=end))
        account.differences += _miscounted(era, mine, after=after, until=until)
    if seen < len(fired):
        account.differences += _outside(eras, fired)
    return account


def _shares(eras: Sequence[Era], fired: Sequence[datetime]) -> Sequence[Sequence[datetime]]:
    """Which events are whose: where eras overlap, the first one that planned it and has none."""
    if all(one.until <= next_.after for one, next_ in pairwise(eras)):
        return [fired] * len(eras)
    shares: list[list[datetime]] = [[] for _ in eras]
    for event in fired:
        among = [
            (era, share)
            for era, share in zip(eras, shares, strict=True)
            if era.after < event <= era.until
        ]
        wanting = [
            share for era, share in among if share[-1:] != [event] and _is_planned(era, event)
        ]
        for share in (wanting or [share for _, share in among[-1:]])[:1]:
            share.append(event)
    return shares


def _is_planned(era: Era, instant: datetime) -> bool:
    return (
        era.schedule is not None
        and next_fire_after(era.schedule, instant - _MICROSECOND) == instant
    )


def _reconcile_era(
    schedule: Schedule,
    recorded: Sequence[Unfired],
    fired: Sequence[datetime],
    *,
    after: datetime,
    until: datetime,
) -> Totals:
    """Goes along the recorded ranges, and compares instant by instant in between."""
    account, at = Totals(), after
    for one in sorted(recorded, key=lambda each: each.stretch.first):
        start, end = one.stretch.first - _MICROSECOND, min(one.stretch.last, until)
        if end <= after or start >= until:
            continue
        if start < at and start >= after:
            account.differences.append(
                Difference(Discrepancy.CONTRADICTORY, one.stretch.first, min(end, at))
            )
        if start > at:
            account.add(_compare(schedule, fired, after=at, until=start))
        start = max(start, at)
        if start < end:
            count = count_between(schedule, after=start, until=end)
            account.planned += count
            account.unfired[one.reason] += count
            account.differences += [
                Difference(Discrepancy.CONTRADICTORY, event, event)
                for event in _within(fired, start, end)
            ]
            at = end
    account.add(_compare(schedule, fired, after=at, until=until))
    return account


def _compare(
    schedule: Schedule, fired: Sequence[datetime], *, after: datetime, until: datetime
) -> Totals:
    """Expects one event for each planned instant, and no other."""
    account = Totals()
    events = Counter(_within(fired, after, until))
    unexplained: Difference | None = None
    for instant in instants_between(schedule, after=after, until=until):
        account.planned += 1
        found = events.pop(instant, 0)
        account.fired += found > 0
        if found > 1:
            repeated = Difference(Discrepancy.REPEATED, instant, instant, found)
            account.differences.append(repeated)
        if found == 0:
            first, count = (
                (instant, 1) if unexplained is None else (unexplained.first, unexplained.count + 1)
            )
            unexplained = Difference(Discrepancy.UNEXPLAINED, first, instant, count)
        elif unexplained is not None:
            account.differences.append(unexplained)
            unexplained = None
    if unexplained is not None:
        account.differences.append(unexplained)
    account.differences += [
        Difference(Discrepancy.UNPLANNED, event, event, count) for event, count in events.items()
    ]
    return account


def _miscounted(
    era: Era, recorded: Sequence[Unfired], *, after: datetime, until: datetime
) -> Iterator[Difference]:
    """Judges each range whole, in the span in which it ends."""
    assert era.schedule is not None
    for one in recorded:
        first, last = one.stretch.first, one.stretch.last
        if not after < min(last, era.until) <= until:
            continue
        found = range_between(era.schedule, after=first - _MICROSECOND, until=last)
        if found != one.stretch or not era.after < first <= last <= era.until:
            yield Difference(Discrepancy.MISCOUNTED, first, last, one.stretch.count)


def _outside(eras: Sequence[Era], fired: Sequence[datetime]) -> Iterator[Difference]:
    begins = min((era.after for era in eras), default=None)
    for event in fired:
        if begins is None or event <= begins:
            continue  # of a time that nothing accounts for: before an upgrade
        if not any(era.after < event <= era.until for era in eras):
            yield Difference(Discrepancy.UNPLANNED, event, event)


def _within(fired: Sequence[datetime], after: datetime, until: datetime) -> Sequence[datetime]:
    return fired[bisect_right(fired, after) : bisect_right(fired, until)]
