"""Partitions cover the near future without gaps or overlaps."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from event_trigger.events.partitions import Partition, missing_partitions

SECOND = timedelta(seconds=1)
NOW = datetime(2026, 11, 23, 21, 34, 56, 789_012, tzinfo=UTC)
HOUR = timedelta(hours=1)

widths = st.sampled_from([SECOND / 8, SECOND, 7 * SECOND, timedelta(minutes=1), HOUR]) | (
    st.timedeltas(min_value=SECOND / 10, max_value=2 * HOUR)
)


@st.composite
def existing_partitions(draw: st.DrawFn, around: datetime) -> list[Partition]:
    """Makes partitions of any widths, with or without gaps, before and after an instant."""
    at = around + draw(st.timedeltas(min_value=-6 * HOUR, max_value=3 * HOUR))
    made = []
    for _ in range(draw(st.integers(0, 8))):
        at += draw(st.just(timedelta(0)) | st.timedeltas(min_value=SECOND / 1000, max_value=HOUR))
        end = at + draw(widths)
        made.append(Partition(at, end))
        at = end
    return draw(st.permutations(made))


@st.composite
def situations(draw: st.DrawFn) -> tuple[list[Partition], datetime, timedelta, timedelta]:
    now = NOW + draw(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1)))
    width = draw(widths)
    return draw(existing_partitions(now)), now, width * draw(st.integers(0, 12)), width


def overlap(partitions: list[Partition]) -> bool:
    ordered = sorted(partitions)
    return any(one.ends_at > next_.starts_at for one, next_ in pairwise(ordered))


def is_covered(partitions: list[Partition], start: datetime, end: datetime) -> bool:
    at = start
    for one in sorted(partitions):
        if one.starts_at <= at < one.ends_at:
            at = one.ends_at
    return at > end


@given(situations())
def test_from_now_to_the_horizon_there_is_no_gap(
    situation: tuple[list[Partition], datetime, timedelta, timedelta],
) -> None:
    existing, now, ahead, width = situation

    missing = missing_partitions(existing, now=now, ahead=ahead, width=width)

    assert is_covered([*existing, *missing], now, now + ahead)


@given(situations())
def test_nothing_overlaps_and_nothing_is_empty_or_too_wide(
    situation: tuple[list[Partition], datetime, timedelta, timedelta],
) -> None:
    existing, now, ahead, width = situation

    missing = missing_partitions(existing, now=now, ahead=ahead, width=width)

    assert not overlap([*existing, *missing])
    assert all(timedelta(0) < one.ends_at - one.starts_at <= width for one in missing)


@given(situations())
def test_nothing_is_made_before_one_that_has_ended(
    situation: tuple[list[Partition], datetime, timedelta, timedelta],
) -> None:
    existing, now, ahead, width = situation
    ended = [one.ends_at for one in existing if one.ends_at <= now]

    missing = missing_partitions(existing, now=now, ahead=ahead, width=width)

    # closing goes from the oldest on, and what it has passed must stay passed
    assert all(one.starts_at >= end for one in missing for end in ended)


@given(situations())
def test_partitions_that_exist_are_not_missing(
    situation: tuple[list[Partition], datetime, timedelta, timedelta],
) -> None:
    existing, now, ahead, width = situation
    missing = missing_partitions(existing, now=now, ahead=ahead, width=width)

    again = missing_partitions([*existing, *missing], now=now, ahead=ahead, width=width)

    assert again == []


@given(situations(), st.timedeltas(min_value=timedelta(0), max_value=HOUR), widths)
def test_a_later_run_with_another_width_covers_too(
    situation: tuple[list[Partition], datetime, timedelta, timedelta],
    later: timedelta,
    other_width: timedelta,
) -> None:
    existing, now, ahead, width = situation
    made = [*existing, *missing_partitions(existing, now=now, ahead=ahead, width=width)]
    now, ahead = now + later, 8 * other_width

    missing = missing_partitions(made, now=now, ahead=ahead, width=other_width)

    assert not overlap([*made, *missing])
    assert is_covered([*made, *missing], now, now + ahead)


def test_an_empty_log_gets_whole_cells_of_the_grid() -> None:
    missing = missing_partitions([], now=NOW, ahead=2 * HOUR, width=HOUR)

    nine = datetime(2026, 11, 23, 21, tzinfo=UTC)
    assert missing == [Partition(nine + n * HOUR, nine + (n + 1) * HOUR) for n in range(3)]


def test_no_two_partitions_share_a_table() -> None:
    missing = missing_partitions([], now=NOW, ahead=SECOND, width=SECOND / 10)

    assert len({one.table for one in missing}) == len(missing) == 11
