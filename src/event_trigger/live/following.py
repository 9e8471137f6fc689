"""Follows the log as it is committed: reads the table, so that a lost notification costs time only.

Ids and times are given out before the commit, so neither says what is complete. The transaction
does: below the oldest one that is still running nothing more can appear, and (transaction, id) is
an order in which nothing is skipped or repeated.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from event_trigger.auth.dependencies import Principal
from event_trigger.auth.repository import Logins
from event_trigger.db.clock import database_now
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.events.repository import EventFilter, Events, Position
from event_trigger.live.hub import Hub, Subscription
from event_trigger.models import Event
from event_trigger.web.pagination import Page

log = structlog.get_logger()

_SHORTEST_WAIT, _LONGEST_WAIT = 0.02, 1.0  # seconds
_PAGE = 200


@dataclass(frozen=True, slots=True)
class News:
    """Some events that are committed, and the instant at which they were read."""

    events: Sequence[Event]
    now: datetime


@dataclass(frozen=True)
class Follower:
    """One stream: whose it is, and what it selects at an instant."""

    sessions: Sessions
    hub: Hub
    principal: Principal
    wanted: Callable[[datetime], EventFilter]

    async def position_after(self, event_id: int | None) -> Position:
        """Where to go on after an event; at the beginning, if it is not there any more."""
        async with self.hub.reading, self.sessions() as session:
            events = Events(session)
            if event_id is None:
                return await events.get_horizon()
            wanted = self.wanted(await database_now(session))
            event = await events.get(wanted.owner_id, event_id, wanted.window)
        return Position(0, 0) if event is None else Position(event.xid, event.id)

    async def follow(self, subscription: Subscription, position: Position) -> AsyncIterator[News]:
        """Ends when the login does, and when the service does."""
        wait = _LONGEST_WAIT
        while not self.hub.is_closing:
            try:
                page, now = await self._read(position)
            except Exception as error:
                if not is_outage(error):
                    raise
                log.warning("stream_waits_for_database", error=type(error).__name__)
                await subscription.wait(_LONGEST_WAIT)
                continue
            if page is None:
                return
            if page.rows:
                yield News(page.rows, now)
                position = Position(page.rows[-1].xid, page.rows[-1].id)
                wait = _SHORTEST_WAIT
            if not page.more and not self.hub.is_closing:
                woken = await subscription.wait(wait)
                # what was heard of may be behind a transaction that still runs: look again soon
                wait = _SHORTEST_WAIT if woken else min(2 * wait, _LONGEST_WAIT)

    async def _read(self, position: Position) -> tuple[Page[Event] | None, datetime]:
        """What has come after a position, and when that was; nothing if the login has ended."""
        principal = self.principal
        async with self.hub.reading, self.sessions() as session:
            now = await database_now(session)
            if await Logins(session).get_user(principal.login_id, principal.user_id) is None:
                return None, now
            page = await Events(session).list_after(self.wanted(now), position, limit=_PAGE)
        return page, now
