"""A destination that fails is only probed, one that recovers is sent more and more again."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from event_trigger.destinations.circuit_breaker import (
    OPENS_AFTER,
    PROBES_EVERY,
    BreakerState,
    CircuitBreaker,
    Verdict,
    judge,
    room,
)
from event_trigger.destinations.token_bucket import TokenBucket

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CLOSED = CircuitBreaker()
outcomes = st.lists(st.booleans(), max_size=60)


def after(results: list[bool], *, widest: int = 10) -> CircuitBreaker:
    breaker = CLOSED
    for good in results:
        breaker = breaker.succeeded(widest=widest) if good else breaker.failed(now=NOW)
    return breaker


def free(breaker: CircuitBreaker, *, in_flight: int = 0, later: timedelta = PROBES_EVERY) -> int:
    return room(breaker, None, widest=10, in_flight=in_flight, held_until=None, now=NOW + later)


def test_it_opens_after_five_failures_in_a_row_and_no_sooner() -> None:
    assert after([False] * (OPENS_AFTER - 1)).state is BreakerState.CLOSED
    assert after([False] * OPENS_AFTER).state is BreakerState.OPEN
    assert after([False, False, False, False, True, False]).state is BreakerState.CLOSED


def test_an_open_one_lets_a_single_probe_through_at_a_time() -> None:
    breaker = after([False] * OPENS_AFTER)

    assert free(breaker) == 1
    assert free(breaker, in_flight=1) == 0
    assert free(breaker, later=PROBES_EVERY / 2) == 0


def test_a_probe_that_is_answered_begins_a_slow_start() -> None:
    windows = [free(after([False] * OPENS_AFTER + [True] * count)) for count in range(1, 5)]

    assert windows == [2, 4, 8, 10]
    assert after([False] * OPENS_AFTER + [True] * 4) == CLOSED


def test_a_failure_during_the_slow_start_opens_it_again() -> None:
    assert after([False] * OPENS_AFTER + [True, True, False]).state is BreakerState.OPEN


@given(outcomes, st.integers(1, 100))
def test_there_is_never_more_room_than_the_destination_allows(
    results: list[bool], widest: int
) -> None:
    breaker = after(results, widest=widest)

    found = room(breaker, None, widest=widest, in_flight=0, held_until=None, now=NOW + PROBES_EVERY)

    assert 1 <= found <= widest  # and never none for good


@given(outcomes)
def test_enough_successes_close_it_whatever_happened(results: list[bool]) -> None:
    assert after([*results, *[True] * 8]) == CLOSED


@given(st.floats(0.01, 1000), st.lists(st.floats(0.001, 5), max_size=200))
def test_a_rate_is_never_exceeded_beyond_what_a_second_saves_up(
    rate: float, pauses: list[float]
) -> None:
    bucket, now, sent = TokenBucket(rate, 0, None), NOW, 0
    for pause in pauses:
        bucket = bucket.filled(now=now)
        count = room(CLOSED, bucket, widest=10_000, in_flight=0, held_until=None, now=now)
        bucket, sent = bucket.taken(count), sent + count
        now += timedelta(seconds=pause)

    assert sent <= max(1, rate) + rate * (now - NOW).total_seconds() + 1e-6


def test_the_next_token_is_waited_for_exactly() -> None:
    empty = TokenBucket(4, 0, NOW)

    assert empty.seconds_until_next == 0.25
    assert room(CLOSED, empty, widest=10, in_flight=0, held_until=None, now=NOW) == 0
    filled = empty.filled(now=NOW + timedelta(seconds=0.25))
    assert room(CLOSED, filled, widest=10, in_flight=0, held_until=None, now=NOW) == 1


def test_what_is_busy_is_sent_one_at_a_time_and_then_more_and_more() -> None:
    breaker = CLOSED.told(Verdict.BUSY, widest=10, now=NOW)

    assert breaker.state is BreakerState.RECOVERING
    assert free(breaker, later=PROBES_EVERY / 2) == 0
    windows = [free(breaker)]
    while breaker != CLOSED:
        breaker = breaker.told(Verdict.ALIVE, widest=10, now=NOW)
        windows.append(free(breaker))
    assert windows == [1, 2, 4, 8, 10]


def test_nothing_is_sent_while_a_destination_is_held_not_even_a_probe() -> None:
    until = NOW + timedelta(hours=1)
    for breaker in (CLOSED, after([False] * OPENS_AFTER)):
        for now, found in ((NOW + PROBES_EVERY, 0), (until, free(breaker))):
            assert room(breaker, None, widest=10, in_flight=0, held_until=until, now=now) == found


@given(st.integers(0, 999))
def test_an_answer_below_500_is_about_the_event_but_for_three(status: int) -> None:
    wanted = Verdict.FAILING if status >= 500 or status in (408, 425) else Verdict.ALIVE

    assert judge(status) is (Verdict.BUSY if status == 429 else wanted)
    assert judge(None) is Verdict.FAILING
