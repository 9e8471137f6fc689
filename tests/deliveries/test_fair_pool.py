"""However greedy some owners are, a newcomer finds capacity in a process."""

from hypothesis import given
from hypothesis import strategies as st

from event_trigger.deliveries.fair_pool import FairPool

MOST = 512
holders = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 20)), max_size=200)


def filled(asks: list[tuple[int, int]], pool: FairPool) -> FairPool:
    """Lets each destination acquire all that is available to it; its id contains its owner's."""
    for owner_id, place in asks:
        key = owner_id, owner_id * 100 + place
        pool.acquire(*key, pool.available(*key))
    return pool


@given(holders)
def test_nobody_keeps_a_newcomer_out(asks: list[tuple[int, int]]) -> None:
    pool = filled(asks, FairPool(MOST))

    assert 0 <= pool.free <= MOST
    assert pool.available(99, 9900) > 0


@given(st.lists(st.integers(1, 10), max_size=200))
def test_an_owners_slow_destinations_leave_room_for_its_others(places: list[int]) -> None:
    pool = filled([(1, place) for place in places], FairPool(MOST))

    assert pool.available(1, 199) > 0


@given(holders)
def test_released_amounts_are_free_again(asks: list[tuple[int, int]]) -> None:
    pool, taken = FairPool(MOST), []
    for owner_id, place in asks:
        amount = pool.available(owner_id, place)
        pool.acquire(owner_id, place, amount)
        taken.append((owner_id, place, amount))
    for owner_id, place, amount in taken:
        pool.release(owner_id, place, amount)

    assert pool.free == MOST
    assert pool.available(1, 1) == FairPool(MOST).available(1, 1)


def test_one_alone_comes_to_have_a_sixth() -> None:
    pool = filled([(1, 1)] * 20, FairPool(MOST))

    assert abs(MOST - pool.free - MOST / 6) < 4
