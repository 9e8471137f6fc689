"""Reads pages of the log of events by time, and what is shown beside events."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from sqlalchemy import TextClause, text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.keyset import (
    Page,
    fetch_newest_rows,
    newest_query,
)
from event_trigger.db.listed_tables import ListedTable
from event_trigger.db.loading import Loader, columns_of
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.db.transactions import use_generic_plan
from event_trigger.events.filters import EventFilter, select_events
from event_trigger.events.trigger_names import TriggerNames
from event_trigger.events.window import TimeWindow, latest_of, until_now
from event_trigger.models import EVERY_SHARD, Event

_LOG = ListedTable(Event, order="triggered_at DESC, id DESC", large=("payload", "source"))
# the names of the trigger of each event; Citus would not run it across shards
_NAMES = """
    (SELECT ARRAY[key, name] FROM triggers
        WHERE triggers.shard = paged.shard AND triggers.id = paged.trigger_id) AS names
"""
_LISTED = replace(
    _LOG,
    as_text=("payload", "source"),
    left_out=("owner_id", "hops", "source_kind", "xid"),
)
_SUMMARIES = replace(_LISTED, large=("source",), as_null=("payload",))
_PAGES = {  # by whether the page is a summary, and whether names are beside its events
    (summary, named): replace(listed, beside=_NAMES) if named else listed
    for summary, listed in ((False, _LISTED), (True, _SUMMARIES))
    for named in (False, True)
}
_SHARDS_OF = text(f"""
    SELECT id, shard FROM triggers WHERE {EVERY_SHARD} AND id = ANY (CAST(:ids AS bigint[]))
""")  # noqa: S608
_SHARD_OF_EVENT = text(f"""
    SELECT shard FROM events
    WHERE {EVERY_SHARD} AND trigger_id = :trigger_id AND triggered_at >= :since
        AND triggered_at < coalesce(CAST(:until AS timestamptz), 'infinity') LIMIT 1
""")  # noqa: S608
_OF_ONE, _OF_MANY = "shard = :shard", "shard = ANY (CAST(:shards AS smallint[]))"
_NAMES_OF = (
    "SELECT id, key, name FROM triggers WHERE {shards} AND id = ANY (CAST(:ids AS bigint[]))"
)
_COUNTS = """
    SELECT event_id, status, count(*) FROM deliveries
    WHERE {shards} AND event_id = ANY (CAST(:ids AS bigint[])) GROUP BY event_id, status
"""


_LOADER = Loader.of(Event)
_ONE = text(f"""
    SELECT {columns_of(Event)} FROM events
    WHERE shard = :shard AND id = :id AND triggered_at >= :since
        AND CASE WHEN owner_id = :owner_id THEN true END
    ORDER BY triggered_at DESC LIMIT 1
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class _About:
    """A query about some rows of one shard, or of several."""

    of_one: TextClause
    of_many: TextClause

    @classmethod
    def of(cls, query: str) -> "_About":
        return cls(text(query.format(shards=_OF_ONE)), text(query.format(shards=_OF_MANY)))


_NAME_TRIGGERS, _COUNT_DELIVERIES = _About.of(_NAMES_OF), _About.of(_COUNTS)


class ListedEvent(NamedTuple):
    """An event as a list shows it: its JSON is the text that is stored, or None in a summary.

    `names` are the key and the name of its trigger; None if that was deleted.
    """

    shard: int
    id: int
    triggered_at: datetime
    trigger_id: int
    type: str
    scheduled_for: datetime | None
    payload: str | None
    is_test: bool
    replay_of: int | None
    source: str | None
    size: int
    names: Sequence[str | None] | None = None


_AnyEvent = Event | ListedEvent
# as `ListedEvent._make` does of a row with all fields, in half of its time
_listed_event: Callable[[Iterable[Any]], ListedEvent] = partial(tuple.__new__, ListedEvent)


@dataclass(frozen=True)
class EventPages:
    session: ReadSession

    async def get_of(self, owned: OwnedId, *, since: datetime) -> Event | None:
        """Returns an event of a project that was fired at `since` or later."""
        values = {"shard": owned.shard, "owner_id": owned.owner_id, "id": owned.id, "since": since}
        return _LOADER.first_of(await self.session.execute(_ONE, values))

    async def list_page(
        self,
        wanted: EventFilter,
        *,
        now: datetime,
        before: tuple[datetime, int] | None,
        limit: int,
    ) -> Page[Event]:
        """Lists events before a position, newest first; within one instant, larger ids first."""
        page = await self._list(wanted, _LOG, now=now, before=before, limit=limit)
        return Page([*map(_LOADER.load, page.rows)], page.more)

    async def list_rows(
        self,
        wanted: EventFilter,
        *,
        now: datetime,
        before: tuple[datetime, int] | None,
        limit: int,
        summary: bool = False,
    ) -> Page[ListedEvent]:
        """Lists events like `list_page`, with the names of their triggers."""
        in_cluster = await is_in_cluster(self.session)
        listed = _PAGES[summary, not in_cluster]
        page = await self._list(wanted, listed, now=now, before=before, limit=limit)
        if not in_cluster:
            return Page([*map(_listed_event, page.rows)], page.more)
        events = [ListedEvent(*one) for one in page.rows]
        named = await self.name_triggers(events)
        events = [one._replace(names=named.get(one.trigger_id)) for one in events]
        return Page(events, page.more)

    async def _list(
        self,
        wanted: EventFilter,
        listed: ListedTable[Event],
        *,
        now: datetime,
        before: tuple[datetime, int] | None,
        limit: int,
    ) -> Page[Any]:
        """Reads the rows of a page.

        It tries the newest 48th of the window first, since that has enough for most pages.
        """
        await use_generic_plan(self.session)
        in_cluster = await is_in_cluster(self.session)
        if wanted.selects_none:
            return Page((), more=False)
        shards = await self._shards_of(wanted)
        wanted = wanted.within(until_now(wanted.window, now))
        latest = latest_of(wanted.window, now if before is None else min(now, before[0]))
        options = read_options(wanted.owner_id)
        page: Page[Any] = Page((), more=False)
        for window in (latest, wanted.window):
            selection = select_events(
                wanted.within(window), shards=shards, before=before, in_cluster=in_cluster
            )
            if selection.each is not None:
                listed = replace(listed, each=selection.each)
            query = newest_query(listed, selection.ranges, selection.conditions)
            page = await fetch_newest_rows(
                self.session, query, selection.values, limit=limit, options=options
            )
            if page.more:
                break
        return page

    async def _shards_of(self, wanted: EventFilter) -> dict[int, int]:
        """Returns the shards of the triggers that an admin asks for, by their ids."""
        if wanted.owner_id is not None or wanted.trigger_ids is None:
            return {}
        rows = await self.session.execute(
            _SHARDS_OF, {"ids": [*wanted.trigger_ids]}, execution_options=read_options(None)
        )
        shards = {row.id: row.shard for row in rows}
        for deleted in sorted({*wanted.trigger_ids} - shards.keys()):
            found = await self._shard_of_events(deleted, wanted.window)
            if found is not None:
                shards[deleted] = found
        return shards

    async def _shard_of_events(self, trigger_id: int, window: TimeWindow) -> int | None:
        values = {"trigger_id": trigger_id, "since": window.start, "until": window.end}
        options = read_options(None)
        found = await self.session.scalar(_SHARD_OF_EVENT, values, execution_options=options)
        return None if found is None else int(found)

    async def name_triggers(self, events: Sequence[_AnyEvent]) -> dict[int, TriggerNames]:
        """Reads the names of the events' triggers, by their ids; deleted triggers are left out."""
        rows = await self._ask(_NAME_TRIGGERS, events, {one.trigger_id for one in events})
        return {trigger_id: TriggerNames(key, name) for trigger_id, key, name in rows}

    async def count_deliveries(self, events: Sequence[_AnyEvent]) -> dict[int, dict[str, int]]:
        """Counts the deliveries of events by status, by the ids of the events."""
        counts: dict[int, dict[str, int]] = {}
        found = await self._ask(_COUNT_DELIVERIES, events, {one.id for one in events})
        for event_id, status, count in found:
            counts.setdefault(event_id, {})[status] = count
        return counts

    async def _ask(
        self, about: _About, events: Sequence[_AnyEvent], ids: Collection[int]
    ) -> Sequence[Any]:
        shards = sorted({one.shard for one in events})
        if len(shards) == 1:
            values = {"shard": shards[0], "ids": [*ids]}
            return (await self.session.execute(about.of_one, values)).all()
        if not shards:
            return ()
        many, options = {"shards": shards, "ids": [*ids]}, read_options(None)
        found = await self.session.execute(about.of_many, many, execution_options=options)
        return found.all()


def read_options(owner_id: int | None) -> dict[str, str]:
    """Returns the options of a statement about one owner, or about all for None."""
    return {} if owner_id is not None else {ACROSS_SHARDS: "admin reads"}
