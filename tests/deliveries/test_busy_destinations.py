"""A busy destination gets later and later turns, until it is found free."""

from event_trigger.deliveries.busy_destinations import (
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    BusyDestinations,
)


def test_pauses_double_up_to_the_longest() -> None:
    destinations, now, pauses = BusyDestinations(), 100.0, []

    for _ in range(7):
        destinations.note({1}, {1}, now=now)
        pauses.append(destinations.seconds_until_next(now=now))
        now += pauses[-1]

    assert [round(one / FIRST_PAUSE_SECONDS, 3) for one in pauses[:4]] == [1, 2, 4, 8]
    assert round(pauses[-1], 3) == LONGEST_PAUSE_SECONDS


def test_only_the_busy_wait_and_only_until_their_turn() -> None:
    destinations = BusyDestinations()

    destinations.note({1, 2, 3}, {1, 3}, now=0.0)
    at_first = [one for one in (1, 2, 3, 4) if destinations.has_to_wait(one, now=0.01)]
    destinations.note({3}, set(), now=0.02)
    later = [one for one in (1, 3) if destinations.has_to_wait(one, now=0.01)]

    assert (at_first, later) == ([1, 3], [1])
    assert not destinations.has_to_wait(1, now=FIRST_PAUSE_SECONDS)
