"""Answers plain GETs of events; see auth/plain_reads.py."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from event_trigger.auth.plain_reads import PlainDoor, PlainRead
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.page_sessions import PageSessions
from event_trigger.db.plain_session import PlainReads
from event_trigger.db.shards import OwnedId
from event_trigger.events.counts import count_by_trigger
from event_trigger.events.dependencies import filter_for
from event_trigger.events.lists import read_page
from event_trigger.events.pages import EventPages
from event_trigger.events.schemas import EventListQuery, read_event
from event_trigger.events.window import Retention, oldest_kept
from event_trigger.events.written import write_counts
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.cpu_bound import CpuBound
from event_trigger.web.plain_queries import NoQuery, PlainQuery

_ONE_PATH = re.compile(r"/events/(?P<id>[1-9][0-9]{0,18})", re.ASCII)
_SCOPES = frozenset({Scope.EVENTS_READ})


class _ListOrCounts(EventListQuery):
    aggregate: bool = False


@dataclass(frozen=True, slots=True)
class PlainEvents:
    """Reads the database's clock by a DatabaseClock, which spares most pages a statement."""

    reads: PlainReads
    pages: PageSessions
    clock: DatabaseClock
    retention: Retention
    cpu_bound: CpuBound

    @property
    def doors(self) -> Sequence[PlainDoor]:
        query = PlainQuery(_ListOrCounts)
        return (
            PlainDoor(_ONE_PATH, _SCOPES, NoQuery(), self._read_one),
            PlainDoor(re.compile("/events"), _SCOPES, query, self._list_or_count),
        )

    async def _read_one(self, asked: PlainRead) -> Response | None:
        event_id, now = int(asked.path["id"]), await self.clock.now()
        if event_id > LARGEST_ID:
            return None
        owned, since = OwnedId(asked.project_id, event_id), oldest_kept(self.retention, now=now)
        async with self.reads.open() as session:
            events = EventPages(session)
            event = await events.get_of(owned, since=since)
            if event is None or not asked.principal.may_see(event.trigger_id):
                return None
            named = await events.name_triggers([event])
        read = read_event(event, self.retention, now=now, named=named)
        return asked.answered(read.model_dump_json().encode())

    async def _list_or_count(self, asked: PlainRead) -> Response | None:
        query: _ListOrCounts = asked.query.wanted
        if not query.aggregate:
            return await self._list(asked)
        if asked.query.cursor is not None or query.include is not None:
            return None
        wanted = filter_for(
            asked.principal, self.retention, query, now=await self.clock.now(), state=query.state
        )
        async with (
            self.cpu_bound.slot(asked.principal.user_id),
            self.reads.begin() as session,  # its plans are for the values of this transaction
        ):
            counts = await count_by_trigger(session, wanted)
        return asked.answered(write_counts(counts))

    async def _list(self, asked: PlainRead) -> Response:
        query, paging, now = asked.query.wanted, asked.paging, await self.clock.now()
        async with self.pages.open() as session:
            page = await read_page(session, asked.principal, self.retention, query, paging, now=now)
        return asked.answered(page.write(self.retention))
