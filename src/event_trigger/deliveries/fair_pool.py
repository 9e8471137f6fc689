"""Divides a limited resource of the process fairly between owners and their destinations."""


class FairPool:
    """Holds `capacity` units of a resource: attempts in flight, or bytes of payloads.

    An owner may hold as much as is left free for all others, and a destination half as much as is
    left of that for the owner's other destinations: dynamic thresholds (Choudhury and Hahne, 1998).
    So a newcomer always finds some free, and shares need not be set for a number of users.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = self.free = capacity
        self._held_by_owner: dict[int, int] = {}
        self._held_by_destination: dict[int, int] = {}

    def available(self, *, owner_id: int, destination_id: int) -> int:
        """Returns how much more the destination may acquire now."""
        for_owner = max(0, (self.free - self._held_by_owner.get(owner_id, 0)) // 2)
        if held := self._held_by_destination.get(destination_id):
            return max(0, (for_owner - 2 * held) // 3)
        return max(min(1, for_owner), for_owner // 3)

    def is_held_by(self, owner_id: int) -> bool:
        return self._held_by_owner.get(owner_id, 0) > 0

    def acquire(self, amount: int, *, owner_id: int, destination_id: int) -> None:
        """Takes an amount, also more than is available: the caller decides."""
        self._hold(amount, owner_id, destination_id)

    def release(self, amount: int, *, owner_id: int, destination_id: int) -> None:
        self._hold(-amount, owner_id, destination_id)

    def _hold(self, amount: int, owner_id: int, destination_id: int) -> None:
        self.free -= amount
        _add(self._held_by_owner, owner_id, amount)
        _add(self._held_by_destination, destination_id, amount)


def _add(held: dict[int, int], one: int, amount: int) -> None:
    if left := held.get(one, 0) + amount:
        held[one] = left
    else:
        held.pop(one, None)
