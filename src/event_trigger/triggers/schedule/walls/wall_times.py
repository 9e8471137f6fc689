"""Declares what every kind of wall times can answer."""

from collections.abc import Container, Iterator
from datetime import date, datetime
from typing import Protocol


class WallTimes(Protocol):
    """Naive local times, strictly increasing; all are whole seconds."""

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        """Walks the wall times from one on, but those of some dates, which take hardly any time.

        Ends where the next 50 years have none.
        """

    def count(self, since: datetime, until: datetime) -> int:
        """Counts the wall times in `[since, until)`."""

    def names(self, wall: datetime) -> bool:
        """Tells whether one is among them."""
