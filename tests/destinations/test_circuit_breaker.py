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
    free_slots,
    verdict_of,
)
from event_trigger.destinations.token_bucket import TokenBucket

NOW = datetime(2026, 11, 24, tzinfo=UTC)
CLOSED = CircuitBreaker()
outcomes = st.lists(st.booleans(), max_size=60)


def after(results: list[bool], *, max_concurrency: int = 10) -> CircuitBreaker:
    breaker = CLOSED
    for good in results:
        if good:
            breaker = breaker.after_success(max_concurrency=max_concurrency)
        else:
            breaker = breaker.after_failure(now=NOW)
    return breaker


def free(breaker: CircuitBreaker, *, in_flight: int = 0, later: timedelta = PROBES_EVERY) -> int:
    return free_slots(
        breaker, None, max_concurrency=10, in_flight=in_flight, held_until=None, now=NOW + later
    )


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
    results: list[bool], max_concurrency: int
) -> None:
    breaker = after(results, max_concurrency=max_concurrency)

    found = free_slots(
        breaker,
        None,
        max_concurrency=max_concurrency,
        in_flight=0,
        held_until=None,
        now=NOW + PROBES_EVERY,
    )

    assert 1 <= found <= max_concurrency  # and never none for good


@given(outcomes)
def test_enough_successes_always_close_the_breaker(results: list[bool]) -> None:
    assert after([*results, *[True] * 8]) == CLOSED


@given(st.floats(0.01, 1000), st.lists(st.floats(0.001, 5), max_size=200))
def test_a_rate_is_exceeded_by_no_more_than_a_seconds_tokens(
    rate: float, pauses: list[float]
) -> None:
    bucket, now, sent = TokenBucket(rate, 0, None), NOW, 0
    for pause in pauses:
        bucket = bucket.refilled(now=now)
        count = free_slots(
            CLOSED, bucket, max_concurrency=10_000, in_flight=0, held_until=None, now=now
        )
        bucket, sent = bucket.spent(count), sent + count
        now += timedelta(seconds=pause)

    assert sent <= max(1, rate) + rate * (now - NOW).total_seconds() + 1e-6


def test_the_next_token_is_waited_for_exactly() -> None:
    empty = TokenBucket(4, 0, NOW)

    assert empty.seconds_until_next == 0.25
    assert free_slots(CLOSED, empty, max_concurrency=10, in_flight=0, held_until=None, now=NOW) == 0
    filled = empty.refilled(now=NOW + timedelta(seconds=0.25))
    assert (
        free_slots(CLOSED, filled, max_concurrency=10, in_flight=0, held_until=None, now=NOW) == 1
    )


def test_a_busy_destination_gets_one_at_a_time_and_then_a_slow_start() -> None:
    breaker = CLOSED.after(Verdict.BUSY, max_concurrency=10, now=NOW)

    assert breaker.state is BreakerState.RECOVERING
    assert free(breaker, later=PROBES_EVERY / 2) == 0
    windows = [free(breaker)]
    while breaker != CLOSED:
        breaker = breaker.after(Verdict.ALIVE, max_concurrency=10, now=NOW)
        windows.append(free(breaker))
    assert windows == [1, 2, 4, 8, 10]


def test_nothing_is_sent_while_a_destination_is_held_not_even_a_probe() -> None:
    until = NOW + timedelta(hours=1)
    for breaker in (CLOSED, after([False] * OPENS_AFTER)):
        for now, found in ((NOW + PROBES_EVERY, 0), (until, free(breaker))):
            assert (
                free_slots(
                    breaker, None, max_concurrency=10, in_flight=0, held_until=until, now=now
                )
                == found
            )


@given(st.integers(0, 999))
def test_an_answer_below_500_is_about_the_event_but_for_three(status: int) -> None:
    wanted = Verdict.FAILING if status >= 500 or status in (408, 425) else Verdict.ALIVE

    assert verdict_of(status) is (Verdict.BUSY if status == 429 else wanted)
    assert verdict_of(None) is Verdict.FAILING
