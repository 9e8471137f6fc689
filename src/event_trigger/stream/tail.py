"""Follows the log in the order of commits, by reading the table again and again.

Notifications only make it quicker, so a lost one costs no event. Ids and times are given before
the commit, so an event with a smaller one may still appear. Transaction numbers do better: below
the oldest transaction that still runs no event can appear any more, and in the order of
(transaction, id) none is skipped or repeated.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.principal import Principal
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.events.filters import EventFilter
from event_trigger.events.repository import Events, Position, take_xid
from event_trigger.events.trigger_names import TriggerNames
from event_trigger.models import Event
from event_trigger.stream.subscriptions import Subscription, Subscriptions

_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0  # seconds
_PAGE_EVENTS = 200


@dataclass(frozen=True, slots=True)
class TailedEvents:
    """Some committed events, the names of their triggers, and the instant of the read."""

    events: Sequence[Event]
    named: Mapping[int, TriggerNames]
    now: datetime


@dataclass(frozen=True, slots=True)
class _Progress:
    """The position of a stream, which ends at transaction `last_xid` once its window is over."""

    position: Position
    last_xid: int | None = None


@dataclass(frozen=True, slots=True)
class _Read:
    """The events after a position, and the progress with them; None if the stream is at its end."""

    tailed: TailedEvents
    next: _Progress | None
    more: bool


@dataclass(frozen=True)
class Tail:
    """One stream of a principal; `wanted` gives its filter at an instant."""

    sessions: Sessions
    subscriptions: Subscriptions
    credentials: CredentialCache
    principal: Principal
    wanted: Callable[[datetime], EventFilter]

    async def position_after(self, event_id: int | None) -> Position:
        """Returns the position right after an event, or now if the id is None.

        If the event is no longer kept, it is the position before all events.
        """
        async with self.subscriptions.reading, self.sessions() as session:
            events = Events(session)
            if event_id is None:
                return Position((await events.get_horizon()).oldest, 0)
            wanted = self.wanted(await database_now(session))
            event = await events.get(wanted, event_id)
            horizon = await events.get_horizon()
        if event is None or event.xid >= horizon.newest:  # another server stored it: a dump
            return Position(0, 0)
        return Position(event.xid, event.id)

    async def follow(
        self, subscription: Subscription, position: Position
    ) -> AsyncIterator[TailedEvents]:
        """Yields the events after a position, as they are committed.

        1. Read a page of events, and yield it; an empty one, too, if other topics have news.
        2. Unless there are more, wait: until a notification wakes the stream, or until the
           credential has to be checked again, which is within a second.
        3. End when the login, its token, its role, the membership of the project or the window
           ends, or the service stops.
        """
        progress, wait = _Progress(position), _LONGEST_WAIT
        while not self.subscriptions.is_closing:
            try:
                read = await self._read(progress)
            except Exception as error:
                if not is_outage(error):
                    raise
                self.subscriptions.failures.failed("streams", error)
                await subscription.wait(_LONGEST_WAIT)
                continue
            self.subscriptions.failures.succeeded("streams")
            if read is None:
                return
            if read.tailed.events or subscription.has_news():
                yield read.tailed
            if read.tailed.events:
                wait = _SHORTEST_WAIT
            if read.next is None:
                return
            if progress.last_xid is None and read.next.last_xid is not None:
                wait = _SHORTEST_WAIT  # the window is over, but some may still commit
            progress = read.next
            if not read.more and not self.subscriptions.is_closing:
                trusted = self.credentials.trusted_seconds(self.principal)
                woken = await subscription.wait(min(wait, trusted))
                # the new event may be behind a transaction that still runs: read again soon
                wait = _SHORTEST_WAIT if woken else min(2 * wait, _LONGEST_WAIT)

    async def _read(self, progress: _Progress) -> _Read | None:
        """Reads the events after a position; None if the stream may not go on from there."""
        if not await self.credentials.is_current(self.principal):  # may query the database itself
            return None
        async with self.subscriptions.reading, self.sessions() as session:
            now = await database_now(session)
            if self.principal.expires_at is not None and now >= self.principal.expires_at:
                return None
            events, wanted = Events(session), self.wanted(now)
            found = await events.list_after(wanted, progress.position, limit=_PAGE_EVENTS)
            named = await events.name_triggers(found.page.rows)
            last_xid = progress.last_xid
            if last_xid is None and wanted.window.is_over(now):
                last_xid = await take_xid(session)
        oldest, newest = found.horizon.oldest, found.horizon.newest
        if progress.position.xid > newest:  # another server's number: the client has to start again
            return None
        self.subscriptions.old_transaction.check(oldest=oldest, newest=newest, now=now)
        is_end = last_xid is not None and oldest > last_xid and not found.page.more
        return _Read(
            TailedEvents(found.page.rows, named, now),
            None if is_end else _Progress(found.end, last_xid),
            found.page.more,
        )
