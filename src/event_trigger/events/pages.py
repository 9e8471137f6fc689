"""Reads pages of the log of events by time, and what is shown beside events."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import TextClause, text

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.keyset import (
    ListedTable,
    Page,
    fetch_newest_rows,
    newest_query,
)
from event_trigger.db.loading import Loader, columns_of
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.planning import use_generic_plan
from event_trigger.db.shards import ACROSS_SHARDS, OwnedId
from event_trigger.events.filters import EventFilter, Selection, select_events
from event_trigger.events.trigger_names import TriggerNames
from event_trigger.events.window import TimeWindow, latest_of
from event_trigger.models import EVERY_SHARD, Event

_LOG = ListedTable(Event, order="triggered_at DESC, id DESC", large=("payload", "source"))
_SUMMARIES = replace(_LOG, large=("source",), left_out=("payload",))
# the names of the trigger of each event; Citus would not run it across shards
_NAMES_BESIDE = """
    (SELECT ARRAY[key, name] FROM triggers
        WHERE triggers.shard = paged.shard AND triggers.id = paged.trigger_id)
"""
_SHARDS_OF = text(f"""
    SELECT id, shard FROM triggers WHERE {EVERY_SHARD} AND id = ANY (CAST(:ids AS bigint[]))
""")  # noqa: S608
_SHARD_OF_EVENT = text(f"""
    SELECT shard FROM events
    WHERE {EVERY_SHARD} AND trigger_id = :trigger_id AND triggered_at >= :since
        AND triggered_at < coalesce(CAST(:until AS timestamptz), 'infinity') LIMIT 1
""")  # noqa: S608
_OF_ONE, _OF_MANY = "shard = :shard", "shard = ANY (CAST(:shards AS smallint[]))"
_NAMES = "SELECT id, key, name FROM triggers WHERE {shards} AND id = ANY (CAST(:ids AS bigint[]))"
_COUNTS = """
    SELECT event_id, status, count(*) FROM deliveries
    WHERE {shards} AND event_id = ANY (CAST(:ids AS bigint[])) GROUP BY event_id, status
"""


_LOADER = Loader.of(Event)
_ONE = text(f"""
    SELECT {columns_of(Event)} FROM events
    WHERE shard = :shard AND id = :id AND triggered_at >= :since
        AND CASE WHEN owner_id = :owner_id THEN true END
""")  # noqa: S608


@dataclass(frozen=True, slots=True)
class _About:
    """A query about some rows of one shard, or of several."""

    of_one: TextClause
    of_many: TextClause

    @classmethod
    def of(cls, query: str) -> "_About":
        return cls(text(query.format(shards=_OF_ONE)), text(query.format(shards=_OF_MANY)))


_NAME_TRIGGERS, _COUNT_DELIVERIES = _About.of(_NAMES), _About.of(_COUNTS)


@dataclass(frozen=True, slots=True)
class NamedPage(Page[Event]):
    """A page of events, and the names of their triggers by id, without those of deleted ones."""

    named: Mapping[int, TriggerNames]


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
        summary: bool = False,
    ) -> NamedPage:
        """Lists events before a position, newest first; within one instant, larger ids first.

        It tries the newest 48th of the window first, since that has enough for most pages. Events
        of a summary have no payload.
        """
        await use_generic_plan(self.session)
        if wanted.selects_none:
            return NamedPage((), more=False, named={})
        shards = await self._shards_of(wanted)
        latest = latest_of(wanted.window, now if before is None else min(now, before[0]))
        narrowed = select_events(replace(wanted, window=latest), shards=shards, before=before)
        options = read_options(wanted.owner_id)
        page = await self._read(narrowed, limit=limit, options=options, summary=summary)
        if page.more:
            return page
        whole = select_events(wanted, shards=shards, before=before)
        return await self._read(whole, limit=limit, options=options, summary=summary)

    async def _read(
        self, selection: Selection, *, limit: int, options: dict[str, str], summary: bool
    ) -> NamedPage:
        listed = replace(_SUMMARIES if summary else _LOG, each=selection.each)
        in_cluster = await is_in_cluster(self.session)
        if not in_cluster:
            listed = replace(listed, beside=_NAMES_BESIDE)
        statement = newest_query(listed, selection.ranges, selection.conditions)
        page = await fetch_newest_rows(
            self.session, statement, selection.values, limit=limit, options=options
        )
        events = [*map(statement.loader.load, page.rows)]
        if in_cluster:
            named = await self.name_triggers(events)
        else:
            beside = zip(events, (row[-1] for row in page.rows), strict=True)
            named = {one.trigger_id: TriggerNames(*names) for one, names in beside if names}
        return NamedPage(events, page.more, named)

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

    async def name_triggers(self, events: Sequence[Event]) -> dict[int, TriggerNames]:
        """Reads the names of the events' triggers, by their ids; deleted triggers are left out."""
        rows = await self._ask(_NAME_TRIGGERS, events, {one.trigger_id for one in events})
        return {trigger_id: TriggerNames(key, name) for trigger_id, key, name in rows}

    async def count_deliveries(self, events: Sequence[Event]) -> dict[int, dict[str, int]]:
        """Counts the deliveries of events by status, by the ids of the events."""
        counts: dict[int, dict[str, int]] = {}
        found = await self._ask(_COUNT_DELIVERIES, events, {one.id for one in events})
        for event_id, status, count in found:
            counts.setdefault(event_id, {})[status] = count
        return counts

    async def _ask(
        self, about: _About, events: Sequence[Event], ids: Collection[int]
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
