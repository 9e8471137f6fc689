"""Planned and recorded instants are compared, and each kind of difference is named."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.instants import just_after
from event_trigger.models import UnfiredReason
from event_trigger.reconciliation.reconcile import (
    Difference,
    Discrepancy,
    RecordedRange,
    Totals,
    VersionSpan,
    reconcile,
)
from event_trigger.triggers.schedule.plan import UnfiredInstants
from event_trigger.triggers.schedule.schedules import InstantRange, Schedule, count_in
from tests.support.schedules import every

MINUTE = timedelta(minutes=1)
NOON = datetime(2026, 3, 13, 12, tzinfo=UTC)
GRID = every(NOON, MINUTE)
MISSED = UnfiredReason.MISSED


def at(minutes: float) -> datetime:
    return NOON + minutes * MINUTE


def span(version: int, first: float, last: float, schedule: Schedule | None = GRID) -> VersionSpan:
    """Gives a version that is in force from `first` to `last`, both included."""
    return VersionSpan(version, schedule, at(first), just_after(at(last)))


def unfired(first: float, last: float, count: int, *, version: int = 1) -> RecordedRange:
    return RecordedRange(version, UnfiredInstants(InstantRange(at(first), at(last), count), MISSED))


def account_for(
    fired: list[float], *recorded: RecordedRange, spans: tuple[VersionSpan, ...] = (span(1, 0, 9),)
) -> Totals:
    instants = sorted(at(one) for one in fired)
    return reconcile(spans, recorded, instants, since=at(-100), until=at(100))


def test_an_event_for_each_planned_instant_adds_up() -> None:
    account = account_for([*range(10)])

    assert account == Totals(planned=10, fired=10)


def test_what_is_on_record_with_a_reason_adds_up_too() -> None:
    account = account_for([0, 1, 2, 8, 9], unfired(3, 7, 5))

    assert account == Totals(planned=10, fired=5, unfired=Counter({MISSED: 5}))


@pytest.mark.parametrize(
    ("fired", "recorded", "difference"),
    [
        ([0, 1, 2, 3, 5, 6, 7, 8, 9], [], Difference(Discrepancy.UNEXPLAINED, at(4), at(4))),
        ([0, 1, 8, 9], [], Difference(Discrepancy.UNEXPLAINED, at(2), at(7), 6)),
        ([0, 1, 2], [unfired(3, 6, 4)], Difference(Discrepancy.UNEXPLAINED, at(7), at(9), 3)),
        ([*range(10), 4], [], Difference(Discrepancy.REPEATED, at(4), at(4), 2)),
        ([*range(10), 4.5], [], Difference(Discrepancy.UNPLANNED, at(4.5), at(4.5))),
        ([*range(10), 12], [], Difference(Discrepancy.UNPLANNED, at(12), at(12))),
        ([*range(10)], [unfired(4, 4, 1)], Difference(Discrepancy.CONTRADICTORY, at(4), at(4))),
        ([0, 1], [unfired(2, 9, 7)], Difference(Discrepancy.MISCOUNTED, at(2), at(9), 7)),
        ([0, 1], [unfired(2, 9.5, 8)], None),
        ([0], [unfired(1, 6, 6), unfired(5, 9, 5)], None),
    ],
)
def test_a_difference_is_named(
    fired: list[float], recorded: list[RecordedRange], difference: Difference | None
) -> None:
    account = account_for(fired, *recorded)

    assert account.differences
    if difference is not None:
        assert account.differences == [difference]


def test_each_instant_is_judged_by_the_schedule_in_force_then() -> None:
    slower = every(NOON, 3 * MINUTE)
    spans = (span(1, 0, 4), VersionSpan(2, slower, just_after(at(4)), at(10)))

    right = account_for([0, 1, 2, 3, 4, 6, 9], spans=spans)
    wrong = account_for([0, 1, 2, 3, 4, 5, 6, 9], spans=spans)

    assert right == Totals(planned=7, fired=7)
    assert wrong.differences == [Difference(Discrepancy.UNPLANNED, at(5), at(5))]


def test_a_reason_counts_for_its_own_version_only() -> None:
    spans = (span(1, 0, 4), VersionSpan(2, GRID, just_after(at(4)), just_after(at(9))))

    account = account_for([0, 1, 2, 3, 4], unfired(5, 9, 5, version=1), spans=spans)

    assert account.unfired == Counter()
    assert Difference(Discrepancy.UNEXPLAINED, at(5), at(9), 5) in account.differences


def test_a_schedule_that_cannot_be_read_is_said_to_be_so() -> None:
    account = account_for([], spans=(span(1, 0, 9, None),))

    assert [one.kind for one in account.differences] == [Discrepancy.UNREADABLE]


@given(
    kinds=st.lists(st.sampled_from(["fired", "unfired", "lost", "twice"]), max_size=60),
    cut=st.integers(-1, 61),
)
def test_the_sums_are_those_of_what_was_put_in_however_the_span_is_cut(
    kinds: list[str], cut: int
) -> None:
    repeats = {"fired": 1, "twice": 2}
    fired = [at(minute) for minute, kind in enumerate(kinds) for _ in range(repeats.get(kind, 0))]
    recorded = [
        unfired(minute, minute, 1) for minute, kind in enumerate(kinds) if kind == "unfired"
    ]
    whole = VersionSpan(1, GRID, at(0), at(len(kinds)))
    account = Totals()
    for since, until in ((at(-2), at(cut)), (at(cut), at(100))):
        part = [one for one in fired if since <= one < until]
        account.add(reconcile([whole], recorded, part, since=since, until=until))

    found = Counter(kinds)
    assert account.planned == len(kinds)
    assert account.fired == found["fired"] + found["twice"]
    assert account.unfired[MISSED] == found["unfired"]
    lost = [one for one in account.differences if one.kind is Discrepancy.UNEXPLAINED]
    assert sum(one.count for one in lost) == found["lost"]
    assert len(account.differences) - len(lost) == found["twice"]


def test_an_outage_of_years_is_one_range_and_takes_no_walk() -> None:
    seconds = every(NOON, timedelta(seconds=1))
    last = NOON + timedelta(days=3000)
    end = just_after(last)
    count = count_in(seconds, since=NOON, until=end)
    record = RecordedRange(1, UnfiredInstants(InstantRange(NOON, last, count), MISSED))

    account = reconcile([VersionSpan(1, seconds, NOON, end)], [record], [], since=at(-1), until=end)

    assert account == Totals(planned=count, unfired=Counter({MISSED: count}))
