"""Reads the log of events, by time or in the order of commits, and announces new events."""

from collections.abc import Iterable, Sequence
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
from event_trigger.events.trigger_names import TriggerNames
from event_trigger.events.window import TimeWindow, latest_of
from event_trigger.models import SHARDS, Delivery, Event, Trigger
from event_trigger.models.event import CURRENT_XID

_LOG = ListedTable(Event, order="triggered_at DESC, id DESC", large=("payload",))
_SUMMARIES = replace(_LOG, large=(), left_out=("payload",))
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
        summary: bool = False,
    ) -> Page[Event]:
        """Lists events before a position, newest first; within one instant, larger ids first.

        It tries the newest 48th of the window first, since that has enough for most pages. Events
        of a summary have no payload.
        """
        await use_generic_plan(self.session)
        if wanted.trigger_ids is not None and not wanted.trigger_ids:
            return Page((), more=False)
        shards = await self._shards_of(wanted)
        latest = latest_of(wanted.window, now if before is None else min(now, before[0]))
        narrowed = select_events(replace(wanted, window=latest), shards=shards, before=before)
        options = _options(wanted.owner_id)
        page = await self._read(narrowed, limit=limit, options=options, summary=summary)
        if page.more:
            return page
        whole = select_events(wanted, shards=shards, before=before)
        return await self._read(whole, limit=limit, options=options, summary=summary)

    async def _read(
        self, selection: Selection, *, limit: int, options: dict[str, str], summary: bool
    ) -> Page[Event]:
        listed = replace(_SUMMARIES if summary else _LOG, each=selection.each)
        statement = newest_query(listed, selection.ranges, selection.conditions)
        return await fetch_newest(
            self.session, statement, selection.values, limit=limit, options=options
        )

    async def _shards_of(self, wanted: EventFilter) -> dict[int, int]:
        """Returns the shards of the triggers that an admin asks for, by their ids."""
        if wanted.owner_id is not None or wanted.trigger_ids is None:
            return {}
        every = column("shard").in_(range(SHARDS))
        there = select(Trigger.id, Trigger.shard).where(every, Trigger.id.in_(wanted.trigger_ids))
        rows = await self.session.execute(there, execution_options=_options(None))
        shards = {row.id: row.shard for row in rows}
        for deleted in sorted({*wanted.trigger_ids} - shards.keys()):
            stored = select(Event.shard).where(every, Event.trigger_id == deleted).limit(1)
            probes = _within(stored, wanted.window)
            found = await self.session.scalar(probes, execution_options=_options(None))
            if found is not None:
                shards[deleted] = int(found)
        return shards

    async def name_triggers(self, events: Sequence[Event]) -> dict[int, TriggerNames]:
        """Reads the names of the events' triggers, by their ids; deleted triggers are left out."""
        if not events:
            return {}
        shards = {one.shard for one in events}
        statement = select(Trigger.id, Trigger.key, Trigger.name).where(
            Trigger.shard.in_(shards), Trigger.id.in_({one.trigger_id for one in events})
        )
        options = {} if len(shards) == 1 else _options(None)
        rows = await self.session.execute(statement, execution_options=options)
        return {trigger_id: TriggerNames(key, name) for trigger_id, key, name in rows}

    async def count_deliveries(self, events: Sequence[Event]) -> dict[int, dict[str, int]]:
        """Counts the deliveries of events by status, by the ids of the events."""
        if not events:
            return {}
        shards = {one.shard for one in events}
        statement = (
            select(Delivery.event_id, Delivery.status, func.count())
            .where(Delivery.shard.in_(shards), Delivery.event_id.in_([one.id for one in events]))
            .group_by(Delivery.event_id, Delivery.status)
        )
        options = {} if len(shards) == 1 else _options(None)
        counts: dict[int, dict[str, int]] = {}
        for event_id, status, count in await self.session.execute(
            statement, execution_options=options
        ):
            counts.setdefault(event_id, {})[status] = count
        return counts

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
