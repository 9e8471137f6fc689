"""Computes which partitions the log of events needs, on a grid of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SLOTS = 12  # equal parts of a partition, each of which is counted
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """A partition of the log, for the events of `[starts_at, ends_at)`."""

    starts_at: datetime
    ends_at: datetime

    @property
    def table(self) -> str:
        return f"events_p{self.starts_at:%Y%m%d_%H%M%S_%f}"

    @property
    def slots(self) -> list[datetime]:
        """The instants at which the slots start."""
        width = self.ends_at - self.starts_at
        return [self.starts_at + width * number / SLOTS for number in range(SLOTS)]

    def slots_within(self, start: datetime, end: datetime) -> tuple[datetime, datetime] | None:
        """Returns the start and end of the slots that lie wholly in `[start, end)`, if any do."""
        edges = [edge for edge in (*self.slots, self.ends_at) if start <= edge <= end]
        return (edges[0], edges[-1]) if len(edges) > 1 else None


def missing_partitions(
    existing: Sequence[Partition], *, now: datetime, ahead: timedelta, width: timedelta
) -> list[Partition]:
    """Returns the partitions missing from `now` to `now + ahead`, cut at multiples of `width`.

    Existing partitions may have other widths, since the setting may have changed: the gaps between
    them are filled without overlaps.
    """
    missing: list[Partition] = []
    covered = sorted(one for one in existing if one.ends_at > now)
    at = _floor(now, width)
    if earlier := [one.ends_at for one in existing if one.ends_at <= now]:
        at = max(at, *earlier)
    while at <= now + ahead:
        while covered and covered[0].ends_at <= at:
            covered.pop(0)
        if covered and covered[0].starts_at <= at:
            at = covered.pop(0).ends_at
            continue
        end = _floor(at, width) + width
        if covered:
            end = min(end, covered[0].starts_at)
        missing.append(Partition(at, end))
        at = end
    return missing


def _floor(instant: datetime, width: timedelta) -> datetime:
    return instant - (instant - _EPOCH) % width
