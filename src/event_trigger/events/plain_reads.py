"""Answers plain GETs of events; see auth/plain_reads.py."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from event_trigger.auth.plain_reads import PlainDoor, PlainRead
from event_trigger.auth.scopes import Scope
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.plain_session import PlainReads
from event_trigger.db.shards import OwnedId
from event_trigger.events.lists import read_page
from event_trigger.events.pages import EventPages
from event_trigger.events.schemas import EventListQuery, read_event
from event_trigger.events.window import Retention, oldest_kept
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.plain_queries import NoQuery, PlainQuery

_ONE_PATH = re.compile(r"/events/(?P<id>[1-9][0-9]{0,18})", re.ASCII)
_SCOPES = frozenset({Scope.EVENTS_READ})


@dataclass(frozen=True, slots=True)
class PlainEvents:
    """Reads the database's clock by a DatabaseClock, which spares most pages a statement."""

    reads: PlainReads
    clock: DatabaseClock
    retention: Retention

    @property
    def doors(self) -> Sequence[PlainDoor]:
        query = PlainQuery(EventListQuery)
        return (
            PlainDoor(_ONE_PATH, _SCOPES, NoQuery(), self._read_one),
            PlainDoor(re.compile("/events"), _SCOPES, query, self._list),
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

    async def _list(self, asked: PlainRead) -> Response | None:
        query, paging, now = asked.query.wanted, asked.paging, await self.clock.now()
        async with self.reads.open(keeps_planning=True) as session:
            page = await read_page(session, asked.principal, self.retention, query, paging, now=now)
        return asked.answered(page.write(self.retention))
