"""Bounds a replica's lag by WAL positions, without trusting any clock but our own."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Mark:
    """A lower bound of the primary's WAL position at `at` (seconds of our monotonic clock)."""

    at: float
    position: int


class LagBound:
    """Tells whether a replica is less than `bound` seconds behind, also when nothing is written.

    A replica that has replayed the primary's position of some instant shows all commits before it.
    """

    def __init__(self, *, bound: float) -> None:
        self._bound = bound
        self._marks: deque[_Mark] = deque()
        self._current_at: float | None = None

    def note(self, *, at: float, primary: int, replica: int) -> None:
        """Notes both WAL positions; `at` must be before the primary was read, the replica after."""
        self._marks.append(_Mark(at, primary))
        while self._marks and self._marks[0].position <= replica:
            self._current_at = self._marks.popleft().at
        while self._marks and at - self._marks[0].at > self._bound:
            self._marks.popleft()  # too old: reaching it would not make the replica fresh

    def age(self, now: float) -> float:
        """Returns how old the replica's data may be, in seconds; 0 if that is not known."""
        return 0.0 if self._current_at is None else now - self._current_at

    def holds(self, now: float) -> bool:
        return self._current_at is not None and now - self._current_at <= self._bound
