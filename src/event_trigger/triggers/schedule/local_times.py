"""Maps wall times to instants by the rules of a time zone, over clock changes too.

Instants are aware UTC; "wall" times are naive local times. Both, and clock changes, are whole
seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

from event_trigger.triggers.schedule.excluded import PassedDates
from event_trigger.triggers.schedule.walls.wall_times import WallTimes

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)
# Since 1970 no clock was put back by more than 7 hours, nor changed twice within 4 days.
_LONGEST_REWIND = timedelta(days=1)
_MOST_SKIPPED = 24 * 60  # the minutes of the longest gap, a day that a place has left out


@dataclass(frozen=True, slots=True)
class LocalTimes:
    """The instants of wall times in a zone.

    Those of `once` fire once each: in a gap at its end, and the first time if they come twice.
    Those of `hourly` fire whenever the clock shows them, as lines that run at least hourly do.
    `all` are both. None is before `first`, if that is given: a start at the second time that the
    clock shows it, which fires then.
    """

    zone: ZoneInfo
    all: WallTimes
    once: WallTimes | None
    hourly: WallTimes | None
    first: datetime | None = None

    def next_at_or_after(self, since: datetime, *, passed: Sequence[date] = ()) -> datetime | None:
        """Finds the first instant from an aware UTC one on; None if 50 years have no match.

        It passes over some local dates, sorted; at a clock change it may yet return an instant of
        one.
        """
        since, dates = _whole_second(since), PassedDates(passed, self.zone)
        if self.first is not None and since <= self.first:
            wall = self.wall(self.first)
            if self.all.names(wall) and wall.date() not in dates:
                return self.first
            since = self.first + _SECOND
        found = [
            None if self.once is None else self._next_once(self.once, since, dates),
            None if self.hourly is None else self._next_shown(self.hourly, since, dates),
        ]
        return min((one for one in found if one is not None), default=None)

    def count_in(self, *, since: datetime, until: datetime) -> int:
        """Counts the instants in `[since, until)`; takes time for each day, not for each one."""
        since, until = _whole_second(since), _whole_second(until)
        count = 0
        if self.first is not None and since <= self.first:
            count = int(self.first < until and self.all.names(self.wall(self.first)))
            since = self.first + _SECOND
        while since < until:
            end, is_plain = self._cut(since, until)
            if is_plain:
                wall = self.wall(since)
                count += self.all.count(wall, wall + (end - since))
            else:
                count += self._count_walked(since, end)
            since = end
        return count

    def plans(self, instant: datetime) -> bool:
        """Tells whether an aware instant is a planned one, for most by their wall time alone."""
        local = instant.astimezone(self.zone)
        is_early = self.first is not None and instant < self.first
        if not local.fold and not is_early and self.all.names(local.replace(tzinfo=None)):
            return True
        return self.next_at_or_after(instant) == instant

    def wall(self, instant: datetime) -> datetime:
        """Returns the naive local time of an instant."""
        return instant.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def first_pass(self, wall: datetime) -> datetime:
        """Returns the first instant of a wall time, or the end of the gap it is in (PEP 495)."""
        if self.first is not None and wall == self.wall(self.first):
            return self.first
        instant = _utc(wall.replace(tzinfo=self.zone))
        if self.wall(instant) == wall:
            return instant
        return self._change(_utc(wall.replace(tzinfo=self.zone, fold=1)), instant)

    def missing_walls(self, instant: datetime) -> list[datetime]:
        """Lists the wall times of `once` that a gap skipped, and that fire at its end instead.

        There are none unless a gap ends at the instant.
        """
        before, after = self.wall(instant - _SECOND) + _SECOND, self.wall(instant)
        walls = () if self.once is None else self.once.walk_from(before)
        return [*islice(takewhile(lambda one: one < after, walls), _MOST_SKIPPED)]

    def _next_once(self, walls: WallTimes, since: datetime, passed: PassedDates) -> datetime | None:
        """Finds the next instant of wall times that fire once each.

        The search begins at the wall time of the second before: a gap that ends at `since` skipped
        wall times that are due there. Passing over repeated ones takes under a day of them.
        """
        named = walls.walk_from(self.wall(since - _SECOND) + _SECOND, passed)
        return next((one for one in map(self.first_pass, named) if one >= since), None)

    def _next_shown(
        self, walls: WallTimes, since: datetime, passed: PassedDates
    ) -> datetime | None:
        """Finds the next instant at which the clock shows a match; one clock change a turn."""
        while (match := next(walls.walk_from(self.wall(since), passed), None)) is not None:
            instant = self.first_pass(match)
            if instant < since:
                instant = _utc(match.replace(tzinfo=self.zone, fold=1))
            rewound = self._rewind(since, min(instant, since + _LONGEST_REWIND))
            if rewound is None and self.wall(instant) == match:
                return instant
            since = rewound or instant  # the end of a gap, if the match is in one
        return None

    def _cut(self, since: datetime, until: datetime) -> tuple[datetime, bool]:
        """Returns the end of the part to count next, and whether each wall time in it comes once.

        Looks at three days in all, in which the clocks change at most once.
        """
        before, end = since - _DAY, min(until, since + 2 * _DAY)
        if self._offset(before) == self._offset(end):
            return end, True
        change = self._change(before, end)
        if since < change:
            return min(until, change), True
        rewound = self._offset(change - _SECOND) - self._offset(change)
        plain_again = change + max(rewound, _SECOND)  # a gap's wall times fire as it ends
        return (min(until, plain_again), False) if since < plain_again else (end, True)

    def _count_walked(self, since: datetime, until: datetime) -> int:
        count = 0
        while (instant := self.next_at_or_after(since)) is not None and instant < until:
            count, since = count + 1, instant + _SECOND
        return count

    def _rewind(self, since: datetime, last: datetime) -> datetime | None:
        """Finds the instant later than `since`, up to `last`, from which wall times repeat."""
        if self._offset(last) >= self._offset(since):
            return None
        return self._change(since, last)

    def _change(self, before: datetime, after: datetime) -> datetime:
        """Finds the first instant whose offset differs from that of `before`, by bisection."""
        offset = self._offset(before)
        while (half := (after - before) // (2 * _SECOND) * _SECOND) > timedelta(0):
            if self._offset(before + half) == offset:
                before += half
            else:
                after = before + half
        return after

    def _offset(self, instant: datetime) -> timedelta:
        return self.wall(instant) - instant.replace(tzinfo=None)


def _whole_second(instant: datetime) -> datetime:
    """Rounds up: between two whole seconds no wall time comes."""
    if not instant.microsecond:
        return instant
    return instant.replace(microsecond=0) + _SECOND


def _utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)
