"""A single wall time, as the local time of a schedule that fires once."""

from collections.abc import Container, Iterator
from dataclasses import dataclass
from datetime import date, datetime


@dataclass(frozen=True, slots=True)
class SingleWall:
    at: datetime

    def walk_from(self, wall: datetime, passed: Container[date] = ()) -> Iterator[datetime]:
        is_left = self.at >= wall and self.at.date() not in passed
        return iter((self.at,) if is_left else ())

    def count(self, since: datetime, until: datetime) -> int:
        return int(since <= self.at < until)

    def names(self, wall: datetime) -> bool:
        return wall == self.at
