"""How old what a replica shows may be: known from positions in the WAL, whatever clocks say."""

from collections import deque
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class _Mark:
    """Where the primary was, or later, at an instant of our own clock (seconds)."""

    at: float
    position: int


class LagBound:
    """An upper bound on a replica's age that needs no clock but ours, also when nothing is written.

    A replica that has replayed up to where the primary was at an instant shows all of that instant.
    """

    def __init__(self, *, bound: float) -> None:
        """`bound` in seconds: what may be older is not fresh."""
        self._bound = bound
        self._marks: deque[_Mark] = deque()
        self._shows: float | None = None

    def note(self, *, at: float, primary: int, replica: int) -> None:
        """`at` is before the primary was asked, and that before the replica was."""
        self._marks.append(_Mark(at, primary))
        while self._marks and self._marks[0].position <= replica:
            self._shows = self._marks.popleft().at
        while self._marks and at - self._marks[0].at > self._bound:
            self._marks.popleft()  # to have come so far would not make it fresh

    def holds(self, now: float) -> bool:
        return self._shows is not None and now - self._shows <= self._bound
