"""Reads the log of events, by time or in the order of commits, and announces new events."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Select,
    Text,
    cast,
    column,
    func,
    literal_column,
    select,
    text,
    tuple_,
)
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import (
    ListedTable,
    Page,
    fetch_newest,
    fetch_page,
    newest_query,
    use_generic_plan,
)
from event_trigger.db.notify import EVENTS_STORED
from event_trigger.db.shards import ACROSS_SHARDS
from event_trigger.events.filters import EventFilter, Selection, narrow, select_events
from event_trigger.events.window import TimeWindow, latest_of
from event_trigger.models import SHARDS, Event, Trigger
from event_trigger.models.event import CURRENT_XID

_LOG = ListedTable(Event, order="triggered_at DESC, id DESC", large=("payload",))
_PAYLOAD_SIZE = func.coalesce(func.octet_length(cast(Event.payload, Text)), 0)
_HORIZON = text("""
    SELECT CAST(CAST(pg_snapshot_xmin(seen) AS text) AS bigint) AS oldest,
        CAST(CAST(pg_snapshot_xmax(seen) AS text) AS bigint) AS newest
    FROM pg_current_snapshot() AS seen
""")
_OWN_XID = text(f"SELECT {CURRENT_XID.text}")
ANNOUNCE = f"""
    SELECT {CURRENT_XID.text} AS xid, count(pg_notify('{EVENTS_STORED}', announced.owner_id))
    FROM unnest(CAST(:announced_ids AS text[])) AS announced (owner_id)
"""  # noqa: S608
_ANNOUNCE = text(ANNOUNCE)


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
class Events:
    session: AsyncSession

    async def get(self, wanted: EventFilter, event_id: int) -> Event | None:
        statement = narrow(select(Event), wanted)
        statement = _within(statement, wanted.window).where(Event.id == event_id)
        if wanted.owner_id is None:
            statement = statement.where(Event.shard.in_(range(SHARDS)))
        return (
            await self.session.scalars(statement, execution_options=_options(wanted.owner_id))
        ).one_or_none()

    async def list_page(
        self,
        wanted: EventFilter,
        *,
        now: datetime,
        before: tuple[datetime, int] | None,
        limit: int,
    ) -> Page[Event]:
        """Lists events before a position, newest first; within one instant, larger ids first.

        It tries the newest 48th of the window first, since that has enough for most pages.
        """
        await use_generic_plan(self.session)
        shard = await self._shard_of(wanted)
        latest = latest_of(wanted.window, now if before is None else min(now, before[0]))
        narrowed = select_events(replace(wanted, window=latest), shard=shard, before=before)
        options = _options(wanted.owner_id)
        page = await self._read(narrowed, limit=limit, options=options)
        if page.more:
            return page
        whole = select_events(wanted, shard=shard, before=before)
        return await self._read(whole, limit=limit, options=options)

    async def _read(
        self, selection: Selection, *, limit: int, options: dict[str, str]
    ) -> Page[Event]:
        if not selection.ranges:
            return Page((), more=False)
        statement = newest_query(_LOG, selection.ranges, selection.conditions)
        return await fetch_newest(
            self.session, statement, selection.values, limit=limit, options=options
        )

    async def _shard_of(self, wanted: EventFilter) -> int | None:
        """Returns the shard of a trigger's events if an admin asks for it; 0 if there are none."""
        if wanted.owner_id is not None or wanted.trigger_id is None:
            return None
        for statement in (
            select(Trigger.shard).where(Trigger.id == wanted.trigger_id),
            _within(select(Event.shard), wanted.window).where(
                Event.trigger_id == wanted.trigger_id  # the trigger may be deleted
            ),
        ):
            probes = statement.where(column("shard").in_(range(SHARDS))).limit(1)
            found = await self.session.scalar(probes, execution_options=_options(None))
            if found is not None:
                return int(found)
        return 0

    async def get_horizon(self) -> Horizon:
        row = (await self.session.execute(_HORIZON)).one()
        return Horizon(oldest=row.oldest, newest=row.newest)

    async def take_xid(self) -> int:
        """Returns this transaction a number, larger than those of all that have stored anything."""
        return int((await self.session.execute(_OWN_XID)).scalar_one())

    async def announce(self, owner_ids: Iterable[int]) -> int:
        """Notifies all replicas of the owners of new events, at the commit.

        Gives the number of this transaction, which is the events' `xid`.
        """
        row = (await self.session.execute(_ANNOUNCE, announcing(owner_ids))).one()
        return int(row.xid)

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
            **_options(wanted.owner_id)
        )
        page = await fetch_page(self.session, ordered, size=_PAYLOAD_SIZE, limit=limit)
        return CommittedEvents(page, _end_of(page, position, horizon), horizon)


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


def _options(owner_id: int | None) -> dict[str, str]:
    return {} if owner_id is not None else {ACROSS_SHARDS: "admin reads"}
