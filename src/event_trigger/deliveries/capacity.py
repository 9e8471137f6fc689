"""Bounds the attempts of one process, and the bytes in its memory, fairly for all owners."""

from collections.abc import Sequence
from typing import Protocol

from event_trigger.deliveries.claims import Reservation
from event_trigger.deliveries.fair_pool import FairPool
from event_trigger.deliveries.queue.queued import QueuedDestination
from event_trigger.destinations.templates.jobs import LARGEST_BODY

MOST_IN_FLIGHT = 512  # attempts that have no answer yet
MOST_LEASED = 2 * MOST_IN_FLIGHT  # and those that are to be recorded, while others are in flight
MOST_BYTES_IN_FLIGHT = 32 * 1024 * 1024  # of payloads and rendered bodies, a few times in memory
MOST_BYTES_AWAITED = 32 * 1024 * 1024  # of bodies that wait for their turn in rendering


class Holder(Protocol):
    """An attempt, or a destination with a reservation."""

    @property
    def owner_id(self) -> int: ...
    @property
    def destination_id(self) -> int: ...


class Capacity:
    """Counts what reservations and attempts hold.

    An answered attempt leaves its place to another, which is claimed while it is recorded. Its
    lease and its bytes count until then.
    """

    def __init__(self) -> None:
        self._attempts = FairPool(MOST_IN_FLIGHT)
        self._leases = FairPool(MOST_LEASED)
        self._bytes = FairPool(MOST_BYTES_IN_FLIGHT)
        self._awaited = FairPool(MOST_BYTES_AWAITED)  # apart: who waits delays no other delivery

    @property
    def is_used_up(self) -> bool:
        return min(one.free for one in (self._attempts, self._leases, self._bytes)) <= 0

    def reserve(self, due: Sequence[QueuedDestination]) -> list[Reservation]:
        """Reserves an even share for each due destination, within its fair part of the pools.

        A payload larger than that part is reserved only when no other payload is in memory.
        """
        reservations = []
        even_count = self._attempts.free // max(1, len(due))
        even_size = self._bytes.free // max(1, len(due))
        for one in due:
            holder = {"owner_id": one.owner_id, "destination_id": one.destination_id}
            count = min(
                max(1, even_count),
                self._attempts.available(**holder),
                self._leases.available(**holder),
            )
            fair_size = self._bytes.available(**holder)
            size = max(one.first_size, min(even_size, fair_size))
            fits = size <= fair_size or self._bytes.free == self._bytes.capacity
            if count > 0 and fits:
                self.acquire(one, count=count, size=size)
                reservations.append(Reservation(one, count, size))
        return reservations

    def reserve_bodies(self, holder: Holder) -> int | None:
        """Reserves room for bodies that are to be rendered, or returns None if there is none.

        It is a fair part; an owner that has no room yet gets that of one body at least, by which
        the pool may be exceeded.
        """
        owner_id, destination_id = holder.owner_id, holder.destination_id
        size = self._awaited.available(owner_id=owner_id, destination_id=destination_id)
        if size < LARGEST_BODY:
            if self._awaited.free <= 0 or self._awaited.is_held_by(owner_id):
                return None
            size = LARGEST_BODY
        self._awaited.acquire(size, owner_id=owner_id, destination_id=destination_id)
        return size

    def release_bodies(self, holder: Holder, size: int) -> None:
        owner_id, destination_id = holder.owner_id, holder.destination_id
        self._awaited.release(size, owner_id=owner_id, destination_id=destination_id)

    def acquire(self, holder: Holder, *, count: int, size: int) -> None:
        owner_id, destination_id = holder.owner_id, holder.destination_id
        for pool in (self._attempts, self._leases):
            pool.acquire(count, owner_id=owner_id, destination_id=destination_id)
        self._bytes.acquire(size, owner_id=owner_id, destination_id=destination_id)

    def release(self, holder: Holder, *, count: int, size: int) -> None:
        """Releases reservations, or attempts that were not made."""
        self.release_answered(holder, count=count)
        self.release_recorded(holder, count=count, size=size)

    def release_answered(self, holder: Holder, *, count: int = 1) -> None:
        owner_id, destination_id = holder.owner_id, holder.destination_id
        self._attempts.release(count, owner_id=owner_id, destination_id=destination_id)

    def release_recorded(self, holder: Holder, *, size: int, count: int = 1) -> None:
        owner_id, destination_id = holder.owner_id, holder.destination_id
        self._leases.release(count, owner_id=owner_id, destination_id=destination_id)
        self._bytes.release(size, owner_id=owner_id, destination_id=destination_id)
