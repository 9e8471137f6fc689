"""Decides whether everything is all right: pure arithmetic over the counts that were read."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple

MOST_ITEMS = 20
LATE_AFTER = timedelta(seconds=5)  # as with instants that count as missed
OLD_AFTER = timedelta(seconds=60)  # counts that are older leave open whether all is right
EXPIRES_WITHIN = timedelta(days=7)


class Verdict(StrEnum):
    OK = "ok"
    ATTENTION = "attention"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    ERROR = "error"
    WARNING = "warning"
    UNKNOWN = "unknown"


class Cause(StrEnum):
    """Names what needs attention, most severe first."""

    TRIGGERS_LATE = "triggers_late"
    TRIGGER_SET_ASIDE = "trigger_set_aside"
    HEARTBEAT_SILENT = "heartbeat_silent"
    DESTINATION_GONE = "destination_gone"
    DESTINATION_OPEN = "destination_open"
    INSTANTS_FAILED = "instants_failed"
    INSTANTS_MISSED = "instants_missed"
    INSTANTS_EXPIRED = "instants_expired"
    DELIVERIES_EXHAUSTED = "deliveries_exhausted"
    KEY_EXPIRES = "key_expires"
    COUNTS_OLD = "counts_old"


_SEVERITIES = {
    Cause.TRIGGERS_LATE: Severity.ERROR,
    Cause.TRIGGER_SET_ASIDE: Severity.ERROR,
    Cause.HEARTBEAT_SILENT: Severity.ERROR,
    Cause.DESTINATION_GONE: Severity.ERROR,
    Cause.DESTINATION_OPEN: Severity.ERROR,
    Cause.INSTANTS_FAILED: Severity.ERROR,
    Cause.INSTANTS_MISSED: Severity.WARNING,
    Cause.INSTANTS_EXPIRED: Severity.WARNING,
    Cause.DELIVERIES_EXHAUSTED: Severity.WARNING,
    Cause.KEY_EXPIRES: Severity.WARNING,
    Cause.COUNTS_OLD: Severity.UNKNOWN,
}


@dataclass(frozen=True, slots=True)
class Attention:
    """One cause: `count` triggers, instants, deliveries or keys have it, since `since`."""

    kind: Cause
    id: int | None
    name: str | None
    since: datetime | None
    count: int
    detail: str

    @property
    def severity(self) -> Severity:
        return _SEVERITIES[self.kind]


class Due(NamedTuple):
    """Triggers that are due now: how many are late, and since when the first is due.

    With `is_cut` only the first were read: there may be more that are late.
    """

    late: int
    oldest_at: datetime | None
    is_cut: bool


def judge(found: Sequence[Attention]) -> Verdict:
    """Returns UNKNOWN only if nothing is known to be wrong."""
    if any(one.severity is not Severity.UNKNOWN for one in found):
        return Verdict.ATTENTION
    return Verdict.UNKNOWN if found else Verdict.OK


def most_severe(found: Iterable[Attention]) -> list[Attention]:
    """Sorts by cause, then by number; within one, the oldest first. Returns the first 20."""
    places = {cause: place for place, cause in enumerate(Cause)}

    def place(one: Attention) -> tuple[int, int, float]:
        since = 0.0 if one.since is None else one.since.timestamp()
        return places[one.kind], -one.count, since

    return sorted(found, key=place)[:MOST_ITEMS]


def late_triggers(due: Due, *, now: datetime) -> list[Attention]:
    if not due.late or due.oldest_at is None:
        return []
    seconds = (now - due.oldest_at).total_seconds()
    detail = (
        f"{_number(due.late, 'trigger')} due for more than {LATE_AFTER.total_seconds():.0f} s, the"
        f" first for {seconds:.0f} s."
    )
    return [Attention(Cause.TRIGGERS_LATE, None, None, due.oldest_at, due.late, detail)]


def old_counts(counted_at: datetime | None, due: Due, *, now: datetime) -> list[Attention]:
    """Returns an item if the counts are too old, or not all that is due could be read."""
    if counted_at is None:
        detail = "Nothing has been counted yet: this takes a few seconds after an upgrade."
    elif now - counted_at > OLD_AFTER:
        seconds = (now - counted_at).total_seconds()
        detail = f"The counts are {seconds:.0f} s old: the job count_projects is behind."
    elif due.is_cut and not due.late:
        detail = "So many triggers of other projects are due that not all could be read."
    else:
        return []
    return [Attention(Cause.COUNTS_OLD, None, None, counted_at, 1, detail)]


def _number(count: int, noun: str) -> str:
    return f"{count} {noun} is" if count == 1 else f"{count} {noun}s are"
