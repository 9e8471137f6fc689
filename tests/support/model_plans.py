"""Predicts the planned instants of details, in integers and without the service's arithmetic.

Instants are microseconds since 1970. A grid of elapsed time is a `range`; a cron line is tested
minute by minute, and other local times day by day. Their zone has no clock changes.
"""

from bisect import bisect_right
from calendar import monthrange
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

Instants = Sequence[int]

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
START = datetime(2027, 2, 26, 11, 58, 30, 250_000, tzinfo=UTC)  # the 28th is a Sunday
WALKED = timedelta(days=90)
GRACE = 5 * SECOND
NONE: Instants = range(0)
ZONE, OFFSET = "Asia/Kolkata", timedelta(hours=5, minutes=30)  # of all local times

INTERVALS: dict[int | float | str, int] = {
    "PT7S": 7 * SECOND,
    0.625: 37_500_000,
    1: MINUTE,
    "PT60S": MINUTE,
    90: 90 * MINUTE,
    "P1D": DAY,
}
CRONS: dict[str, Callable[[datetime], bool]] = {
    "* * * * *": lambda _: True,
    "*/20 * * * *": lambda at: at.minute % 20 == 0,
    "0 9,17 * * mon-fri": lambda at: at.minute == 0 and at.hour in {9, 17} and at.isoweekday() <= 5,
    "30 2 1,13 * 0": lambda at: (
        (at.hour, at.minute) == (2, 30) and (at.day in {1, 13} or at.isoweekday() == 7)
    ),
}
CIVIL: dict[str, Callable[[date, date], bool]] = {  # which days count from the first one
    "P2D": lambda day, first: (day - first).days % 2 == 0,
    "P1W": lambda day, first: (day - first).days % 7 == 0,
    "P1M": lambda day, first: day.day == min(first.day, monthrange(day.year, day.month)[1]),
}
RULES: dict[str, Callable[[date, date], bool]] = {
    "FREQ=DAILY": lambda _, __: True,
    "FREQ=WEEKLY;BYDAY=SU,WE": lambda day, _: day.isoweekday() in {7, 3},
    "FREQ=MONTHLY;BYMONTHDAY=-1": lambda day, _: day.day == monthrange(day.year, day.month)[1],
}
SPREADS = {"PT40S": 40 * SECOND, "PT1H": HOUR}
EXCEPTIONS = ("2027-02-26", "2027-02-27", "2027-03-01", "2027-03-02")


def micros(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def moment(instant: int) -> datetime:
    return EPOCH + instant * MICROSECOND


@cache
def walked(line: str) -> list[int]:
    """Gives the matches of a cron line in UTC, from START on."""
    at, found = START.replace(second=0, microsecond=0), []
    while at < START + WALKED:
        if CRONS[line](at):
            found.append(micros(at))
        at += timedelta(minutes=1)
    return found


@cache
def days_of(name: str, start: datetime) -> list[int]:
    """Gives the instants of a local time on the days that a rule, or a civil interval, names."""
    names = (CIVIL | RULES)[name]
    days = (start.date() + timedelta(days=number) for number in range(WALKED.days))
    local = (datetime.combine(day, start.time(), UTC) for day in days if names(day, start.date()))
    return [micros(at - OFFSET) for at in local]


@dataclass(frozen=True)
class Once:
    at: int

    def between(self, after: int, upto: int) -> Instants:
        return range(self.at, self.at + 1) if after < self.at <= upto else NONE

    def following(self, after: int) -> int | None:
        return self.at if self.at > after else None


@dataclass(frozen=True)
class Every:
    start: int
    step: int

    def between(self, after: int, upto: int) -> Instants:
        first = self.following(after)
        return range(first, upto + 1, self.step)

    def following(self, after: int) -> int:
        return self.start + max(0, (after - self.start) // self.step + 1) * self.step


@dataclass(frozen=True)
class Listed:
    """Local times, by the text that names them, and their instants."""

    text: tuple[str, ...]
    instants: tuple[int, ...]

    def between(self, after: int, upto: int) -> Instants:
        return self.instants[bisect_right(self.instants, after) : bisect_right(self.instants, upto)]

    def following(self, after: int) -> int:
        return self.instants[bisect_right(self.instants, after)]


Grid = Once | Every | Listed


@dataclass(frozen=True)
class Plan:
    grid: Grid
    since: int | None
    until: int | None
    max_fires: int | None
    catch_up: str
    window: int
    excepted: frozenset[int] = frozenset()  # days since 1970
    offset: int = 0  # of the local dates that these are
    shift: int = 0

    @property
    def looks_back(self) -> int:
        return max(self.window, GRACE)

    def settled_at(self, now: int) -> int:
        """Gives the last instant before those of a schedule that begins now."""
        if not isinstance(self.grid, Once) or not now - GRACE < self.grid.at <= now:
            return now
        return self.grid.at - 1

    def between(self, after: int, upto: int) -> Instants:
        """Gives the instants in (after, upto]."""
        after, upto = after - self.shift, upto - self.shift
        if self.since is not None:
            after = max(after, self.since - 1)
        found = self.grid.between(after, upto if self.until is None else min(upto, self.until))
        if self.excepted:
            found = [at for at in found if not self._is_excepted(at)]
        if not self.shift:
            return found
        if isinstance(found, range):
            return range(found.start + self.shift, found.stop + self.shift, found.step)
        return [at + self.shift for at in found]

    def following(self, after: int) -> int | None:
        after -= self.shift
        if self.since is not None:
            after = max(after, self.since - 1)
        instant = self.grid.following(after)
        while instant is not None and self._is_excepted(instant):
            instant = self.grid.following(self._end_of_day(instant))
        ended = instant is None or (self.until is not None and instant > self.until)
        return None if ended or instant is None else instant + self.shift

    def excepts(self, at: int) -> bool:
        """Tells whether an instant is left out because of its date alone."""
        unlimited = replace(self, excepted=frozenset())
        return at in unlimited.between(at - 1, at) and self._is_excepted(at - self.shift)

    def _is_excepted(self, at: int) -> bool:
        return (at + self.offset) // DAY in self.excepted

    def _end_of_day(self, at: int) -> int:
        return ((at + self.offset) // DAY + 1) * DAY - self.offset - 1


def plan_of(details: dict[str, Any], *, anchor: int, shift: int = 0) -> Plan | None:
    """Reads details, and gives None where the service must refuse them."""
    grid = grid_of(details, anchor=anchor)
    since, until = micros_in(details, "from"), micros_in(details, "until")
    spread = SPREADS[details["spread"]] if "spread" in details else None
    if isinstance(grid, Once):
        if {"from", "until", "max_fires", "except", "spread"} & details.keys():
            return None
    elif spread is not None and spread > distance_of(grid):
        return None
    if since is not None and until is not None and since > until:
        return None
    is_local = "timezone" in details
    days = (date.fromisoformat(one) - EPOCH.date() for one in details.get("except", ()))
    return Plan(
        grid,
        since,
        until,
        details.get("max_fires"),
        details.get("catch_up", "latest"),
        round(details.get("catch_up_window", 1440) * MINUTE),
        frozenset(one.days for one in days),
        OFFSET // MICROSECOND if is_local else 0,
        shift,
    )


def micros_in(details: dict[str, Any], name: str) -> int | None:
    """Reads an instant, or a local time."""
    if name not in details:
        return None
    at = datetime.fromisoformat(details[name])
    return micros(at if at.tzinfo is not None else at.replace(tzinfo=UTC) - OFFSET)


def grid_of(details: dict[str, Any], *, anchor: int) -> Grid:
    time = micros_in(details, "time")
    if "cron" in details:
        lines = [details["cron"]] if isinstance(details["cron"], str) else details["cron"]
        return Listed(tuple(lines), tuple(sorted({at for one in lines for at in walked(one)})))
    if "timezone" in details and ("rrule" in details or details.get("recurring")):
        name = details.get("rrule") or details["interval"]
        start = datetime.fromisoformat(details["time"])
        return Listed((name, details["time"]), tuple(days_of(name, start)))
    step = INTERVALS[details["interval"]] if "interval" in details else None
    if details.get("recurring") and step is not None:
        return Every(anchor + step if time is None else time, step)
    return Once(anchor + (step or 0) if time is None else time)


def distance_of(grid: Every | Listed) -> int:
    """Gives the shortest distance of two instants."""
    if isinstance(grid, Every):
        return grid.step
    return min(after - one for one, after in pairwise(grid.instants))
