"""Wakes the open streams of one process when something was stored, and ends them at shutdown."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog

from event_trigger.db.errors import FailureLog
from event_trigger.errors import Problem, Unavailable

log = structlog.get_logger()

MOST_OF_ONE_USER, MOST_IN_ALL = 20, 200
HELD_UP_AFTER = timedelta(seconds=5)


class TooManyStreams(Problem):
    status, slug, title = 429, "too-many-streams", "Too many streams"
    default_detail = f"You have {MOST_OF_ONE_USER} streams open here. Close one first."


@dataclass(eq=False)
class Subscription:
    """One open stream; `owner_id` None is an admin's, who sees everybody's events."""

    user_id: int
    owner_id: int | None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self._news.set()

    async def wait(self, seconds: float) -> bool:
        """Whether there was news before so many seconds had passed."""
        try:
            await asyncio.wait_for(self._news.wait(), seconds)
        except TimeoutError:
            return False
        self._news.clear()
        return True


class HoldUp:
    """Says, once for all streams, that an old transaction keeps from them what newer ones stored.

    It may be one of another database, or a prepared one that was forgotten: no stream can tell
    whether it will store an event.
    """

    def __init__(self) -> None:
        self._oldest: int | None = None
        self._since: datetime | None = None

    def look(self, *, oldest: int, newest: int, now: datetime) -> None:
        """Takes the oldest transaction that runs at `now`, and the end of those that have ended."""
        if oldest == newest:
            return
        if oldest != self._oldest:
            self._oldest, self._since = oldest, now
        elif self._since is not None and now - self._since > HELD_UP_AFTER:
            self._since = None
            log.warning("stream_held_up", xid=oldest % 2**32)  # as pg_stat_activity shows it


class Subscriptions:
    """What has been heard is only ever a reason to look: the table says what happened."""

    def __init__(self, *, connections: int) -> None:
        """Of so many connections, streams use a third at once: the others are for everybody."""
        self.is_closing = False
        self.hold_up = HoldUp()
        self.reading = asyncio.Semaphore(max(1, connections // 3))
        self.failures = FailureLog(log, "stream_failed", outage="stream_waits_for_database")
        self._open: set[Subscription] = set()

    def heard(self, owner: str) -> None:
        """Takes the word of a notification: an owner's id, or nothing when some may be lost."""
        for one in self._open:
            if not owner or one.owner_id is None or str(one.owner_id) == owner:
                one.wake()

    def close(self) -> None:
        """Ends all streams, and lets no new one begin."""
        self.is_closing = True
        for one in self._open:
            one.wake()

    @contextmanager
    def subscribe(self, *, user_id: int, owner_id: int | None) -> Iterator[Subscription]:
        """Raises TooManyStreams or Unavailable rather than let some starve the others."""
        if sum(one.user_id == user_id for one in self._open) >= MOST_OF_ONE_USER:
            raise TooManyStreams
        if self.is_closing or len(self._open) >= MOST_IN_ALL:
            raise Unavailable("No more streams can be opened here right now. Try again.")
        one = Subscription(user_id, owner_id)
        self._open.add(one)
        try:
            yield one
        finally:
            self._open.discard(one)
