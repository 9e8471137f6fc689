"""Compares planned instants with recorded ones, and names every difference."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from itertools import pairwise

from event_trigger.instants import just_after, just_before
from event_trigger.models import UnfiredReason
from event_trigger.triggers.schedule.plan import UnfiredInstants
from event_trigger.triggers.schedule.schedules import (
    Schedule,
    count_in,
    instants_in,
    next_fire_at_or_after,
    range_in,
)


class Discrepancy(StrEnum):
    """The ways in which planned and recorded instants differ."""

    UNEXPLAINED = "unexplained"  # planned, without an event or a reason
    REPEATED = "repeated"  # planned, with more than one event
    CONTRADICTORY = "contradictory"  # recorded as unfired twice, or beside an event
    MISCOUNTED = "miscounted"  # recorded as unfired, but not as the schedule plans there
    UNPLANNED = "unplanned"  # an event, or a reason, that no schedule planned
    UNREADABLE = "unreadable"  # a schedule that this version cannot read


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference: `count` instants from `first` to `last`, both included."""

    kind: Discrepancy
    first: datetime
    last: datetime
    count: int = 1


@dataclass(frozen=True, slots=True)
class VersionSpan:
    """The time `[since, until)` in which one version of a schedule planned its instants.

    `schedule` is None if it can no longer be read.
    """

    version: int
    schedule: Schedule | None
    since: datetime
    until: datetime

    def has(self, instant: datetime) -> bool:
        return self.since <= instant < self.until

    def plans(self, instant: datetime) -> bool:
        schedule = self.schedule
        return schedule is not None and next_fire_at_or_after(schedule, instant) == instant


@dataclass(frozen=True, slots=True)
class RecordedRange:
    """Instants that are recorded as unfired, under a version of the schedule."""

    version: int
    unfired: UnfiredInstants


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
    spans: Sequence[VersionSpan],
    recorded: Sequence[RecordedRange],
    fired: Sequence[datetime],
    *,
    since: datetime,
    until: datetime,
) -> Totals:
    """Accounts for the instants in `[since, until)`; `fired` are its events' instants, sorted.

    Versions overlap only where newer rules of a zone brought local times forward that were yet to
    come by the old ones. Recorded ranges may reach beyond the span.

    1. Gives each event to the version that planned it.
    2. Compares each version's instants with its events and its recorded ranges.
    3. Judges each recorded range whole, in the span in which it ends.
    4. Names the events in no version's time.
    """
    totals, seen = Totals(), 0
    for span, own in zip(spans, _by_version(spans, fired), strict=True):
        start, end = max(span.since, since), min(span.until, until)
        if start >= end:
            continue
        events = _within(own, since=start, until=end)
        seen += len(events)
        if span.schedule is None:
            last = just_before(end)
            totals.differences.append(Difference(Discrepancy.UNREADABLE, start, last))
            continue
        ranges = [one.unfired for one in recorded if one.version == span.version]
        totals.add(_reconcile_version(span.schedule, ranges, events, since=start, until=end))
        totals.differences += _miscounted(span, ranges, since=since, until=until)
    if seen < len(fired):
        totals.differences += _outside(spans, fired)
    return totals


def _by_version(
    spans: Sequence[VersionSpan], fired: Sequence[datetime]
) -> Sequence[Sequence[datetime]]:
    """Shares out the events: where versions overlap, to the first that planned it and has none."""
    if all(one.until <= following.since for one, following in pairwise(spans)):
        return [fired] * len(spans)
    shares: list[list[datetime]] = [[] for _ in spans]
    for event in fired:
        candidates = [
            (span, share) for span, share in zip(spans, shares, strict=True) if span.has(event)
        ]
        wanting = [
            share for span, share in candidates if share[-1:] != [event] and span.plans(event)
        ]
        for share in (wanting or [share for _, share in candidates[-1:]])[:1]:
            share.append(event)
    return shares


def _reconcile_version(
    schedule: Schedule,
    recorded: Sequence[UnfiredInstants],
    fired: Sequence[datetime],
    *,
    since: datetime,
    until: datetime,
) -> Totals:
    """Counts within the recorded ranges, and compares instant by instant between them."""
    totals, done_until = Totals(), since
    for one in sorted(recorded, key=lambda each: each.instants.first):
        start, end = one.instants.first, min(just_after(one.instants.last), until)
        if end <= since or start >= until:
            continue
        if since <= start < done_until:
            last = just_before(min(end, done_until))
            totals.differences.append(Difference(Discrepancy.CONTRADICTORY, start, last))
        if start > done_until:
            totals.add(_compare(schedule, fired, since=done_until, until=start))
        start = max(start, done_until)
        if start < end:
            count = count_in(schedule, since=start, until=end)
            totals.planned += count
            totals.unfired[one.reason] += count
            totals.differences += [
                Difference(Discrepancy.CONTRADICTORY, event, event)
                for event in _within(fired, since=start, until=end)
            ]
            done_until = end
    totals.add(_compare(schedule, fired, since=done_until, until=until))
    return totals


def _compare(
    schedule: Schedule, fired: Sequence[datetime], *, since: datetime, until: datetime
) -> Totals:
    """Expects one event for each planned instant, and no other."""
    totals = Totals()
    events = Counter(_within(fired, since=since, until=until))
    unexplained: Difference | None = None
    for instant in instants_in(schedule, since=since, until=until):
        totals.planned += 1
        count = events.pop(instant, 0)
        totals.fired += count > 0
        if count > 1:
            repeated = Difference(Discrepancy.REPEATED, instant, instant, count)
            totals.differences.append(repeated)
        if count == 0:
            unexplained = _extended(unexplained, instant)
        elif unexplained is not None:
            totals.differences.append(unexplained)
            unexplained = None
    if unexplained is not None:
        totals.differences.append(unexplained)
    totals.differences += [
        Difference(Discrepancy.UNPLANNED, event, event, count) for event, count in events.items()
    ]
    return totals


def _extended(unexplained: Difference | None, instant: datetime) -> Difference:
    if unexplained is None:
        return Difference(Discrepancy.UNEXPLAINED, instant, instant)
    return Difference(Discrepancy.UNEXPLAINED, unexplained.first, instant, unexplained.count + 1)


def _miscounted(
    span: VersionSpan,
    recorded: Sequence[UnfiredInstants],
    *,
    since: datetime,
    until: datetime,
) -> Iterator[Difference]:
    """Judges each range whole, in the span in which it ends."""
    assert span.schedule is not None
    for one in recorded:
        first, last = one.instants.first, one.instants.last
        end = just_after(last)
        if not since < min(end, span.until) <= until:
            continue
        planned = range_in(span.schedule, since=first, until=end)
        if planned != one.instants or not span.since <= first < end <= span.until:
            yield Difference(Discrepancy.MISCOUNTED, first, last, one.instants.count)


def _outside(spans: Sequence[VersionSpan], fired: Sequence[datetime]) -> Iterator[Difference]:
    begin = min((span.since for span in spans), default=None)
    for event in fired:
        if begin is None or event < begin:
            continue  # of a time that is not accounted for: before an upgrade
        if not any(span.has(event) for span in spans):
            yield Difference(Discrepancy.UNPLANNED, event, event)


def _within(fired: Sequence[datetime], *, since: datetime, until: datetime) -> Sequence[datetime]:
    return fired[bisect_left(fired, since) : bisect_left(fired, until)]
