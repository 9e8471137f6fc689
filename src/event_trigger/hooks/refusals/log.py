"""Counts refused calls in memory, so that a flood of them costs no statement of its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from event_trigger.db.shards import OwnedId

MOST_COUNTED = 10_000  # triggers, minutes and reasons that wait to be stored
_MINUTE = timedelta(minutes=1)


class RefusalKey(NamedTuple):
    """A trigger, a minute and a reason: the calls that are one record."""

    trigger: OwnedId
    minute: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class RefusedCalls:
    """Calls of one record: how many, and the answer, method, address and time of the last one."""

    status: int
    method: str
    address: str | None
    count: int
    last_at: datetime


class RefusalLog:
    """The refused calls of one process that are not stored yet; a kill loses those of 2 s."""

    def __init__(self) -> None:
        self._counted: dict[RefusalKey, RefusedCalls] = {}

    def count(self, trigger: OwnedId, reason: str, calls: RefusedCalls) -> None:
        """Adds calls to their record; drops them if there are too many records already."""
        at = calls.last_at
        minute = at - (at - datetime.fromtimestamp(0, tz=at.tzinfo)) % _MINUTE
        self._add(RefusalKey(trigger, minute, reason), calls)

    def take(self) -> Sequence[tuple[RefusalKey, RefusedCalls]]:
        """Removes all records, in the order of their keys, to be stored."""
        taken, self._counted = self._counted, {}
        return sorted(taken.items(), key=lambda one: _order(one[0]))

    def put_back(self, records: Sequence[tuple[RefusalKey, RefusedCalls]]) -> None:
        """Adds records that could not be stored to those that came since."""
        for key, calls in records:
            self._add(key, calls)

    def _add(self, key: RefusalKey, calls: RefusedCalls) -> None:
        known = self._counted.get(key)
        if known is not None:
            latest = max(known, calls, key=lambda one: one.last_at)
            self._counted[key] = replace(latest, count=known.count + calls.count)
        elif len(self._counted) < MOST_COUNTED:
            self._counted[key] = calls


def _order(key: RefusalKey) -> tuple[int, int, datetime, str]:
    return key.trigger.shard, key.trigger.id, key.minute, key.reason
