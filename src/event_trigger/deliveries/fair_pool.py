"""Who may hold how much of one process: nobody so much that the next one finds nothing."""

from collections import Counter


class FairPool:
    """A limited amount of something (attempts under way, bytes of payloads), held by destinations.

    An owner may hold as much as is left free to everybody else, and a destination half as much as
    is left of that to the owner's others: dynamic thresholds (Choudhury and Hahne, 1998). They need
    no number of owners or destinations, and a pool with one user is not cut into small parts.
    """

    def __init__(self, most: int) -> None:
        self.most = self.free = most
        self._of_owner: Counter[int] = Counter()
        self._of_destination: Counter[int] = Counter()

    def room(self, owner_id: int, destination_id: int) -> int:
        """How much more a destination may take now."""
        of_owner = max(0, (self.free - self._of_owner[owner_id]) // 2)
        if held := self._of_destination[destination_id]:
            return max(0, (of_owner - 2 * held) // 3)
        return max(min(1, of_owner), of_owner // 3)

    def take(self, owner_id: int, destination_id: int, amount: int) -> None:
        """Notes that so much more is held; a negative amount is given back."""
        self.free -= amount
        for held, one in ((self._of_owner, owner_id), (self._of_destination, destination_id)):
            held[one] += amount
            if not held[one]:
                del held[one]
