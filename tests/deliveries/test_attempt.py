"""A failed attempt is retried by the schedule, and not before `Retry-After`."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_trigger.deliveries.attempt import (
    HOLDS_FREE_FOR,
    JITTER,
    backoff,
    parse_retry_after,
    wait_while_held,
)
from tests.support.services import make_settings

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY = timedelta(hours=24)
SCHEDULE = make_settings("postgresql://nowhere/nothing").retry_after


def test_the_schedule_is_the_promised_one() -> None:
    waits = [backoff(tries, SCHEDULE, jitter=0) for tries in range(1, 10)]

    minutes = timedelta(minutes=1)
    assert waits == [
        timedelta(seconds=5),
        *[count * minutes for count in (5, 30, 120, 300, 600, 600)],
        None,
        None,
    ]


@given(st.integers(1, len(SCHEDULE)), st.floats(-1, 1))
def test_jitter_moves_a_wait_by_a_fifth_at_the_most(tries: int, jitter: float) -> None:
    wait = backoff(tries, SCHEDULE, jitter=jitter)

    assert wait is not None
    assert abs(wait.total_seconds() - SCHEDULE[tries - 1]) <= SCHEDULE[tries - 1] * JITTER + 1e-6


def test_without_a_schedule_there_is_one_attempt() -> None:
    assert backoff(1, (), jitter=0) is None


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        ("120", timedelta(minutes=2)),
        (" 7 ", timedelta(seconds=7)),
        ("86400", DAY),
        ("86401", DAY),
        ("9" * 5000, DAY),
        (format_datetime(NOW + timedelta(hours=1), usegmt=True), timedelta(hours=1)),
        (format_datetime(NOW + timedelta(days=400), usegmt=True), DAY),
        ("Fri, 31 Dec 9999 23:59:59 GMT", DAY),
        ("0", None),
        ("-5", None),
        ("1.5", None),
        ("٣", None),
        ("", None),
        ("soon", None),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
        ("Fri, 99 Dec 2026 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, wait: timedelta | None) -> None:
    assert parse_retry_after(value, now=NOW) == wait


@given(st.text(max_size=50))
def test_no_text_is_waited_for_longer_than_a_day(value: str) -> None:
    wait = parse_retry_after(value, now=NOW)

    assert wait is None or timedelta(0) < wait <= DAY


@given(st.integers(1, 24 * 60 * 60))
def test_a_pause_is_as_long_as_was_asked_for_and_free_for_a_day(seconds: int) -> None:
    asked, age, attempts = timedelta(seconds=seconds), timedelta(0), 0
    while (wait := wait_while_held(asked, age=age)) is not None:
        assert wait >= asked
        age, attempts = age + wait, attempts + 1

    assert age >= HOLDS_FREE_FOR == DAY
    assert attempts <= 120  # also when a second is asked for each time
