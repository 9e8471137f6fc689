"""Follows the log as it is committed: reads the table, so that a lost notification costs time only.

Ids and times are given out before the commit, so neither says what is complete. The transaction
does: below the oldest one that is still running nothing more can appear, and (transaction, id) is
an order in which nothing is skipped or repeated.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.principal import Principal
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.events.filters import EventFilter
from event_trigger.events.repository import Events, Position
from event_trigger.models import Event
from event_trigger.stream.subscriptions import Subscription, Subscriptions

_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0  # seconds
_PAGE = 200


@dataclass(frozen=True, slots=True)
class TailedEvents:
    """Some events that are committed, and the instant at which they were read."""

    events: Sequence[Event]
    now: datetime


@dataclass(frozen=True, slots=True)
class _Place:
    """How far a stream has come, and, once its window is over, the transaction that ends it."""

    position: Position
    last_xid: int | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """What was found behind a place, and where to look next; nowhere if that was all."""

    news: TailedEvents
    next: _Place | None
    more: bool


@dataclass(frozen=True)
class Tail:
    """One stream: whose it is, and what it selects at an instant."""

    sessions: Sessions
    subscriptions: Subscriptions
    credentials: CredentialCache
    principal: Principal
    wanted: Callable[[datetime], EventFilter]

    async def position_after(self, event_id: int | None) -> Position:
        """Where to go on after an event; at the beginning, if it is not there any more."""
        async with self.subscriptions.reading, self.sessions() as session:
            events = Events(session)
            if event_id is None:
                return Position((await events.get_horizon()).oldest, 0)
            wanted = self.wanted(await database_now(session))
            event = await events.get(wanted, event_id)
            horizon = await events.get_horizon()
        if event is None or event.xid >= horizon.newest:  # stored by the server of a dump
            return Position(0, 0)
        return Position(event.xid, event.id)

    async def follow(
        self, subscription: Subscription, position: Position
    ) -> AsyncIterator[TailedEvents]:
        """Ends when the login does, its token, its role or the window, and with the service."""
        place, wait = _Place(position), _LONGEST_WAIT
        while not self.subscriptions.is_closing:
            try:
                look = await self._look(place)
            except Exception as error:
                if not is_outage(error):
                    raise
                self.subscriptions.failures.failed("streams", error)
                await subscription.wait(_LONGEST_WAIT)
                continue
            self.subscriptions.failures.succeeded("streams")
            if look is None:
                return
            if look.news.events:
                yield look.news
                wait = _SHORTEST_WAIT
            if look.next is None:
                return
            if place.last_xid is None and look.next.last_xid is not None:
                wait = _SHORTEST_WAIT  # over, but for what may still be committed
            place = look.next
            if not look.more and not self.subscriptions.is_closing:
                woken = await subscription.wait(wait)
                # what was heard of may be behind a transaction that still runs: look again soon
                wait = _SHORTEST_WAIT if woken else min(2 * wait, _LONGEST_WAIT)

    async def _look(self, place: _Place) -> _Look | None:
        """What has come after a place; nothing if the stream may not go on, or not from there."""
        if not await self.credentials.is_current(self.principal):  # may ask the database itself
            return None
        async with self.subscriptions.reading, self.sessions() as session:
            now = await database_now(session)
            if self.principal.expires_at is not None and now >= self.principal.expires_at:
                return None
            events, wanted = Events(session), self.wanted(now)
            found = await events.list_after(wanted, place.position, limit=_PAGE)
            last_xid = place.last_xid
            if last_xid is None and wanted.window.is_over(now):
                last_xid = await events.take_xid()
        oldest, newest = found.horizon.oldest, found.horizon.newest
        if place.position.xid > newest:  # another server's: its reader has to begin again
            return None
        self.subscriptions.hold_up.look(oldest=oldest, newest=newest, now=now)
        is_all = last_xid is not None and oldest > last_xid and not found.page.more
        return _Look(
            TailedEvents(found.page.rows, now),
            None if is_all else _Place(found.end, last_xid),
            found.page.more,
        )
