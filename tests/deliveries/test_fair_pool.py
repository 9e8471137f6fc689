"""However greedy some owners are, a newcomer finds capacity in a process."""

from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from event_trigger.deliveries.capacity import (
    MOST_BYTES_AWAITED,
    MOST_IN_FLIGHT,
    MOST_LEASED,
    Capacity,
)
from event_trigger.deliveries.fair_pool import FairPool
from event_trigger.destinations.templates.jobs import LARGEST_BODY

MOST = 512
holders = st.lists(st.tuples(st.integers(1, 5), st.integers(1, 20)), max_size=200)


def filled(asks: list[tuple[int, int]], pool: FairPool) -> FairPool:
    """Lets each destination acquire all that is available to it; its id contains its owner's."""
    for owner_id, place in asks:
        key = {"owner_id": owner_id, "destination_id": owner_id * 100 + place}
        pool.acquire(pool.available(**key), **key)
    return pool


@given(holders)
def test_nobody_keeps_a_newcomer_out(asks: list[tuple[int, int]]) -> None:
    pool = filled(asks, FairPool(MOST))

    assert 0 <= pool.free <= MOST
    assert pool.available(owner_id=99, destination_id=9900) > 0


@given(st.lists(st.integers(1, 10), max_size=200))
def test_an_owners_slow_destinations_leave_room_for_its_others(places: list[int]) -> None:
    pool = filled([(1, place) for place in places], FairPool(MOST))

    assert pool.available(owner_id=1, destination_id=199) > 0


@given(holders)
def test_released_amounts_are_free_again(asks: list[tuple[int, int]]) -> None:
    pool, taken = FairPool(MOST), []
    for owner_id, place in asks:
        amount = pool.available(owner_id=owner_id, destination_id=place)
        pool.acquire(amount, owner_id=owner_id, destination_id=place)
        taken.append((owner_id, place, amount))
    for owner_id, place, amount in taken:
        pool.release(amount, owner_id=owner_id, destination_id=place)

    assert pool.free == MOST
    assert pool.available(owner_id=1, destination_id=1) == FairPool(MOST).available(
        owner_id=1, destination_id=1
    )


def test_one_alone_comes_to_have_a_sixth() -> None:
    pool = filled([(1, 1)] * 20, FairPool(MOST))

    assert abs(MOST - pool.free - MOST / 6) < 4


class OneOf(NamedTuple):
    """A destination of its own owner, for which bodies are rendered."""

    owner_id: int

    @property
    def destination_id(self) -> int:
        return self.owner_id


def test_bodies_to_be_rendered_take_no_more_than_their_room_and_one_body() -> None:
    capacity = Capacity()
    reserved: list[int] = []

    while (size := capacity.reserve_bodies(OneOf(len(reserved)))) is not None:
        reserved.append(size)

    assert MOST_BYTES_AWAITED <= sum(reserved) < MOST_BYTES_AWAITED + LARGEST_BODY
    assert len(reserved) > 8
    assert min(reserved) == LARGEST_BODY
    assert not capacity.is_used_up  # deliveries without a template go on
    for owner_id, size in enumerate(reserved):
        capacity.release_bodies(OneOf(owner_id), size)
    assert capacity.reserve_bodies(OneOf(1)) == reserved[0]


def test_one_owner_leaves_room_for_the_bodies_of_others() -> None:
    capacity = Capacity()
    reserved: list[int] = []

    while (size := capacity.reserve_bodies(OneOf(1))) is not None:
        reserved.append(size)

    assert sum(reserved) <= MOST_BYTES_AWAITED // 2
    assert capacity.reserve_bodies(OneOf(2)) is not None


def test_answered_attempts_leave_their_places_until_too_many_wait_to_be_recorded() -> None:
    capacity, one = Capacity(), OneOf(1)
    capacity.acquire(one, count=MOST_IN_FLIGHT, size=0)
    was_used_up = capacity.is_used_up

    capacity.release_answered(one, count=MOST_IN_FLIGHT)
    may_go_on = not capacity.is_used_up
    capacity.acquire(one, count=MOST_LEASED - MOST_IN_FLIGHT, size=0)
    capacity.release_answered(one, count=MOST_LEASED - MOST_IN_FLIGHT)

    assert was_used_up
    assert may_go_on
    assert capacity.is_used_up
    capacity.release_recorded(one, count=1, size=0)
    assert not capacity.is_used_up
