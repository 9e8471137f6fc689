"""Compares the tables with the planned instants, by arithmetic of its own."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.support.databases import connect


@dataclass(frozen=True)
class Grid:
    """The instant `first`, and then one every `step`; a step of None means no more."""

    first: datetime
    step: timedelta | None = timedelta(seconds=1)

    def until(self, end: datetime) -> Iterator[datetime]:
        at = self.first
        while at <= end:
            yield at
            if self.step is None:
                return
            at += self.step


@dataclass
class Report:
    """The findings of all triggers; every list should be empty."""

    planned: int = 0
    fired: int = 0
    unfired: Counter[str] = field(default_factory=Counter)
    missing: list[tuple[int, datetime]] = field(default_factory=list)
    twice: list[tuple[int, datetime]] = field(default_factory=list)
    early: list[tuple[int, datetime]] = field(default_factory=list)
    unplanned: list[tuple[int, datetime]] = field(default_factory=list)
    latest: timedelta = timedelta(0)

    @property
    def is_clean(self) -> bool:
        return not (self.missing or self.twice or self.early or self.unplanned)

    def __str__(self) -> str:
        unfired = "".join(f", {count} {reason}" for reason, count in sorted(self.unfired.items()))
        return (
            f"{self.planned} planned: {self.fired} fired{unfired}; {len(self.missing)} missing,"
            f" {len(self.twice)} twice, {len(self.early)} early, {len(self.unplanned)} unplanned;"
            f" worst lateness {self.latest / timedelta(milliseconds=1):.0f} ms"
        )


async def check(url: str, grids: Mapping[int, Grid]) -> Report:
    """Compares each trigger's grid, up to its `settled_until`, with its events and reasons."""
    connection = await connect(url)
    report = Report()
    try:
        for trigger_id, grid in grids.items():
            await _check_one(connection, trigger_id, grid, report)
    finally:
        await connection.close()
    return report


async def _check_one(connection: Any, trigger_id: int, grid: Grid, report: Report) -> None:
    settled = await connection.fetchval(
        "SELECT settled_until FROM triggers WHERE id = $1", trigger_id
    )
    events = await connection.fetch(
        "SELECT scheduled_for, triggered_at FROM events WHERE trigger_id = $1", trigger_id
    )
    ranges = await connection.fetch(
        "SELECT first_at, last_at, reason FROM unfired_ranges WHERE trigger_id = $1", trigger_id
    )
    fired = Counter(event["scheduled_for"] for event in events)
    planned = list(grid.until(settled))
    for instant in planned:
        reasons = [one["reason"] for one in ranges if one["first_at"] <= instant <= one["last_at"]]
        report.unfired.update(reasons)
        if not fired[instant] and not reasons:
            report.missing.append((trigger_id, instant))
        if fired[instant] + len(reasons) > 1:
            report.twice.append((trigger_id, instant))
    report.planned += len(planned)
    report.fired += len(events)
    report.unplanned += [(trigger_id, instant) for instant in fired.keys() - set(planned)]
    for event in events:
        lateness = event["triggered_at"] - event["scheduled_for"]
        report.latest = max(report.latest, lateness)
        if lateness < timedelta(0):
            report.early.append((trigger_id, event["scheduled_for"]))
