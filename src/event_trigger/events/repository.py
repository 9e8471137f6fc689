"""Reads the log of events, by time or in the order of commits, and announces new events."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    Select,
    Text,
    cast,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import (
    Page,
    fetch_page,
)
from event_trigger.db.notify import EVENTS_STORED
from event_trigger.db.plain_session import ReadSession
from event_trigger.events.filters import EventFilter, narrow
from event_trigger.events.pages import EventPages, read_options
from event_trigger.events.window import TimeWindow
from event_trigger.models import SHARDS, Event
from event_trigger.models.event import CURRENT_XID

_SIZE = func.coalesce(func.octet_length(cast(Event.payload, Text)), 0) + func.coalesce(
    func.octet_length(cast(Event.source, Text)), 0
)
_HORIZON = text("""
    SELECT CAST(CAST(pg_snapshot_xmin(seen) AS text) AS bigint) AS oldest,
        CAST(CAST(pg_snapshot_xmax(seen) AS text) AS bigint) AS newest
    FROM pg_current_snapshot() AS seen
""")
TAKE_XID = f"SELECT {CURRENT_XID.text} AS xid"
_OWN_XID = text(TAKE_XID)
ANNOUNCE = f"""
    SELECT {CURRENT_XID.text} AS xid, count(pg_notify('{EVENTS_STORED}', announced.owner_id))
    FROM unnest(CAST(:announced_ids AS text[])) AS announced (owner_id)
"""  # noqa: S608
_ANNOUNCE = text(ANNOUNCE)
_TAKE_IDS = text("SELECT nextval('events_id_seq') FROM generate_series(1, CAST(:count AS int))")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A position in the order of commits: right after this event of this transaction."""

    xid: int
    id: int


@dataclass(frozen=True, slots=True)
class Horizon:
    """Bounds the running transactions: all before `oldest` have ended; their events are complete.

    None from `newest` on has ended, so none of their events can be read.
    """

    oldest: int
    newest: int


@dataclass(frozen=True, slots=True)
class CommittedEvents:
    """A page of events in the order of commits, the position after them, and the horizon then."""

    page: Page[Event]
    end: Position
    horizon: Horizon


@dataclass(frozen=True)
class Events(EventPages):
    session: AsyncSession

    async def get(self, wanted: EventFilter, event_id: int) -> Event | None:
        statement = narrow(select(Event), wanted)
        statement = _within(statement, wanted.window).where(Event.id == event_id)
        if wanted.owner_id is None:
            statement = statement.where(Event.shard.in_(range(SHARDS)))
        return (
            await self.session.scalars(statement, execution_options=read_options(wanted.owner_id))
        ).one_or_none()

    async def get_payload_text(self, event: Event) -> str | None:
        """Returns an event's payload as JSON text, exactly as it was sent."""
        statement = select(cast(Event.payload, Text)).where(
            Event.shard == event.shard,
            Event.id == event.id,
            Event.triggered_at == event.triggered_at,
        )
        return await self.session.scalar(statement)

    async def get_horizon(self) -> Horizon:
        row = (await self.session.execute(_HORIZON)).one()
        return Horizon(oldest=row.oldest, newest=row.newest)

    async def list_after(
        self, wanted: EventFilter, position: Position, *, limit: int
    ) -> CommittedEvents:
        """Lists events after a position in the order of commits, as far as that is complete.

        The `end` is also behind events that the filter leaves out, so they are not read again.
        """
        horizon = await self.get_horizon()
        statement = _within(narrow(select(Event), wanted), wanted.window).where(
            Event.xid > literal_column("0"),  # the condition of the partial index
            Event.xid >= position.xid,  # the index cannot use the comparison of rows below
            Event.xid < horizon.oldest,
            tuple_(Event.xid, Event.id) > (position.xid, position.id),
        )
        if wanted.owner_id is None:
            statement = statement.where(Event.shard.in_(range(SHARDS)))
        ordered = statement.order_by(Event.xid, Event.id).execution_options(
            **read_options(wanted.owner_id)
        )
        page = await fetch_page(self.session, ordered, size=_SIZE, limit=limit)
        return CommittedEvents(page, _end_of(page, position, horizon), horizon)


async def take_xid(session: ReadSession) -> int:
    """Returns the number of the transaction, larger than those of all that stored events."""
    return int(await session.scalar(_OWN_XID))


async def announce(session: ReadSession, owner_ids: Iterable[int]) -> int:
    """Notifies all replicas of the owners of new events, at the commit.

    Gives the number of the transaction, which is the events' `xid`.
    """
    return int(await session.scalar(_ANNOUNCE, announcing(owner_ids)))


async def take_ids(session: ReadSession, count: int) -> list[int]:
    """Takes ids for so many events, in ascending order."""
    return sorted(row[0] for row in await session.execute(_TAKE_IDS, {"count": count}))


def announcing(owner_ids: Iterable[int]) -> dict[str, list[str]]:
    """Returns the values of the parameters of ANNOUNCE."""
    return {"announced_ids": sorted(str(one) for one in owner_ids)}


def _end_of(page: Page[Event], position: Position, horizon: Horizon) -> Position:
    if page.more:
        return Position(page.rows[-1].xid, page.rows[-1].id) if page.rows else position
    return max(position, Position(horizon.oldest, 0))


def _within(statement: Select[*tuple[Any, ...]], window: TimeWindow) -> Select[*tuple[Any, ...]]:
    statement = statement.where(Event.triggered_at >= window.start)
    return statement if window.end is None else statement.where(Event.triggered_at < window.end)
