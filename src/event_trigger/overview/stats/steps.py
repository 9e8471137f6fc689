"""Cuts a time span into steps, and fills series with the values of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

MOST_STEPS = 1500
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT_STEPS = 24


class StatsStep(StrEnum):
    MINUTE = "PT1M"
    FIVE_MINUTES = "PT5M"
    HOUR = "PT1H"

    @property
    def width(self) -> timedelta:
        return _WIDTHS[self]


_WIDTHS = {
    StatsStep.MINUTE: timedelta(minutes=1),
    StatsStep.FIVE_MINUTES: timedelta(minutes=5),
    StatsStep.HOUR: timedelta(hours=1),
}


@dataclass(frozen=True, slots=True)
class Steps:
    """`number` steps of `width` from `start`, which is a multiple of `width` in UTC.

    They cover `[since, until)`: the whole minutes in them that are kept.
    """

    start: datetime
    width: timedelta
    number: int
    since: datetime
    until: datetime

    def filled(self, counts: "SparseCounts") -> list[int]:
        values = [0] * self.number
        for place, count in zip(counts.places, counts.counts, strict=True):
            values[place] += count
        return values


class SparseCounts(NamedTuple):
    """One series, with counts at some places only. `key` is None for all other keys together."""

    key: str | None
    places: Sequence[int]
    counts: Sequence[int]


def cut(
    step: StatsStep,
    *,
    since: datetime | None,
    until: datetime | None,
    oldest: datetime,
    now: datetime,
) -> Steps:
    """Returns the steps that `[since, until)` touches, as far as it is kept and not to come.

    Without `since`, the last 24 steps. `oldest` is the first instant that is kept: the minute that
    it cuts is left out. There may be more than MOST_STEPS.
    """
    width = step.width
    end = _ceil(min(now if until is None else until, now), width)
    start = end - _DEFAULT_STEPS * width if since is None else _floor(since, width)
    first_kept = _ceil(oldest, timedelta(minutes=1))
    start = max(start, _floor(first_kept, width))
    number = max(0, (end - start) // width)
    return Steps(start, width, number, max(start, first_kept), end)


def _floor(instant: datetime, width: timedelta) -> datetime:
    return instant - (instant - _EPOCH) % width


def _ceil(instant: datetime, width: timedelta) -> datetime:
    return -((-(instant - _EPOCH)) // width) * width + _EPOCH
