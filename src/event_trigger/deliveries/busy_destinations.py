"""Remembers which destinations others have locked, so that only their own attempts wait."""

from collections.abc import Collection
from dataclasses import dataclass

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.02, 0.5


@dataclass(frozen=True, slots=True)
class _Turn:
    at: float
    pause: float


class BusyDestinations:
    """Gives each destination whose row was locked a later turn, after pauses that double.

    Instants are those of the event loop's clock.
    """

    def __init__(self) -> None:
        self._turns: dict[int, _Turn] = {}

    def note(self, tried: Collection[int], busy: Collection[int], *, now: float) -> None:
        """Notes which of the destinations that were tried are busy; the others are free again."""
        for one in tried:
            last = self._turns.pop(one, None)
            if one in busy:
                pause = FIRST_PAUSE_SECONDS
                if last is not None:
                    pause = min(2 * last.pause, LONGEST_PAUSE_SECONDS)
                self._turns[one] = _Turn(now + pause, pause)

    def has_to_wait(self, destination_id: int, *, now: float) -> bool:
        turn = self._turns.get(destination_id)
        return turn is not None and turn.at > now

    def seconds_until_next(self, *, now: float) -> float:
        """Returns the seconds until the first of them has its turn."""
        return max(0.0, min(turn.at for turn in self._turns.values()) - now)
