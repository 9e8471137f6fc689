"""Wakes the open streams of one process when events were stored, and ends them at shutdown."""

import asyncio
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import structlog

from event_trigger.db.errors import FailureLog
from event_trigger.db.notify import named_rows
from event_trigger.db.shards import OwnedId
from event_trigger.errors import Problem, Unavailable

log = structlog.get_logger()

MOST_STREAMS_PER_USER, MOST_STREAMS = 20, 200
MOST_UNREAD = 1000  # rows of a topic that a stream has been told of
WARN_AFTER = timedelta(seconds=5)


class TooManyStreams(Problem):
    status, slug, title = 429, "too-many-streams", "Too many streams"
    default_detail = f"You have {MOST_STREAMS_PER_USER} streams open here. Close one first."


class Topic(StrEnum):
    EVENTS = "events"
    DELIVERIES = "deliveries"
    TRIGGERS = "triggers"


@dataclass(eq=False)
class Subscription:
    """One open stream; `owner_id` is None for an admin's, which shows the events of all owners.

    Of deliveries and triggers it is told which have changed. If it is told of more than it reads,
    or notifications were lost, it only knows that it has missed some.
    """

    user_id: int
    owner_id: int | None
    topics: Collection[Topic] = (Topic.EVENTS,)
    _changed: dict[Topic, dict[OwnedId, None]] = field(default_factory=dict)
    _missed: set[Topic] = field(default_factory=set)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    def wake(self) -> None:
        self._woken.set()

    def tell(self, topic: Topic, rows: Collection[OwnedId]) -> None:
        changed = self._changed.setdefault(topic, {})
        changed.update(dict.fromkeys(rows))
        if len(changed) > MOST_UNREAD:
            self.miss(topic)
        self.wake()

    def miss(self, topic: Topic) -> None:
        self._changed.pop(topic, None)
        self._missed.add(topic)
        self.wake()

    def has_news(self) -> bool:
        return bool(self._changed or self._missed)

    def take_changed(self, topic: Topic) -> list[OwnedId]:
        """Returns the rows that have changed since the last call, each once, oldest first."""
        return [*self._changed.pop(topic, ())]

    def take_missed(self) -> list[Topic]:
        """Returns the topics of which changes were missed since the last call."""
        missed, self._missed = sorted(self._missed), set()
        return missed

    async def wait(self, seconds: float) -> bool:
        """Waits until the stream is woken, or until the time is over; tells which it was."""
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True


class OldTransactionWatch:
    """Warns, once for all streams, when an old transaction holds back newer events.

    It may belong to another database, or be a forgotten prepared transaction: a stream cannot
    tell whether it will store an event, and so has to wait for its end.
    """

    def __init__(self) -> None:
        self._oldest: int | None = None
        self._since: datetime | None = None

    def check(self, *, oldest: int, newest: int, now: datetime) -> None:
        """Takes the transactions that bound the log at `now`, as in `Horizon`."""
        if oldest == newest:
            return
        if oldest != self._oldest:
            self._oldest, self._since = oldest, now
        elif self._since is not None and now - self._since > WARN_AFTER:
            self._since = None
            log.warning("stream_held_up", xid=oldest % 2**32)  # as pg_stat_activity shows it


class Subscriptions:
    """Holds the open streams of this process.

    A notification only wakes a stream: the stream reads its events from the table.
    """

    def __init__(self, *, connections: int) -> None:
        """Lets streams use a third of so many database connections at a time."""
        self.is_closing = False
        self.old_transaction = OldTransactionWatch()
        self.reading = asyncio.Semaphore(max(1, connections // 3))
        self.failures = FailureLog(log, "stream_failed", outage="stream_waits_for_database")
        self._open: set[Subscription] = set()

    @property
    def open_count(self) -> int:
        return len(self._open)

    def heard(self, owner: str) -> None:
        """Wakes the streams of an owner, by the text of a notification.

        An empty text means that notifications may have been lost, and wakes all.
        """
        for one in self._open:
            if not owner or one.owner_id is None or str(one.owner_id) == owner:
                one.wake()

    def told(self, topic: Topic, payload: str) -> None:
        """Tells the streams of an owner about changed rows, by the payload of a notification.

        An empty one means that notifications may have been lost, and is told to all.
        """
        listeners = [one for one in self._open if topic in one.topics]
        if not payload:
            for one in listeners:
                one.miss(topic)
            return
        owner_id, ids = named_rows(payload)
        for one in listeners:
            if one.owner_id in {None, owner_id}:
                one.tell(topic, [OwnedId(owner_id, row_id) for row_id in ids])

    def recheck(self, user: str) -> None:
        """Wakes a user's streams, given the id as text, after a change of the user's credentials.

        An empty text wakes all streams. Each of them ends if its reader may not read any more.
        """
        for one in self._open:
            if not user or str(one.user_id) == user:
                one.wake()

    def close(self) -> None:
        """Ends all streams, and refuses new ones."""
        self.is_closing = True
        for one in self._open:
            one.wake()

    @contextmanager
    def subscribe(
        self,
        *,
        user_id: int,
        owner_id: int | None,
        topics: Collection[Topic] = (Topic.EVENTS,),
    ) -> Iterator[Subscription]:
        """Adds a stream; raises TooManyStreams or Unavailable at the limits of streams."""
        if sum(one.user_id == user_id for one in self._open) >= MOST_STREAMS_PER_USER:
            raise TooManyStreams
        if self.is_closing or len(self._open) >= MOST_STREAMS:
            raise Unavailable("No more streams can be opened here right now. Try again.")
        one = Subscription(user_id, owner_id, topics)
        self._open.add(one)
        try:
            yield one
        finally:
            self._open.discard(one)
