"""Answers plain GETs of triggers; see auth/plain_reads.py."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from event_trigger.auth.plain_reads import PlainDoor, PlainRead
from event_trigger.auth.scopes import Scope
from event_trigger.db.page_sessions import PageSessions
from event_trigger.db.plain_session import PlainReads, ReadSession
from event_trigger.db.shards import OwnedId
from event_trigger.models.base import LARGEST_ID
from event_trigger.triggers.dependencies import TriggerReader, write_list
from event_trigger.triggers.hook_port import HookKeeper
from event_trigger.triggers.lists import list_page
from event_trigger.triggers.schemas.requests import TriggerListQuery
from event_trigger.triggers.schemas.rows import TriggerRow
from event_trigger.triggers.stored_rows import StoredTriggers, TriggerLookup
from event_trigger.web.entity_tags import Preconditions
from event_trigger.web.keys import is_key
from event_trigger.web.plain_queries import NoQuery, PlainQuery
from event_trigger.web.request_head import base_url
from event_trigger.web.schemas import View

_SCOPES = frozenset({Scope.TRIGGERS_READ})
_ID_PATH = re.compile(r"/triggers/(?P<id>[1-9][0-9]{0,18})", re.ASCII)
_KEY_PATH = re.compile(r"/triggers/by-key/(?P<key>[^/]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class PlainTriggers:
    reads: PlainReads
    pages: PageSessions
    lookup: TriggerLookup
    hooks: HookKeeper

    @property
    def doors(self) -> Sequence[PlainDoor]:
        query = PlainQuery(TriggerListQuery)
        return (
            PlainDoor(_ID_PATH, _SCOPES, NoQuery(), self._read_by_id),
            PlainDoor(re.compile("/triggers"), _SCOPES, query, self._list),
            PlainDoor(_KEY_PATH, _SCOPES, NoQuery(), self._read_by_key),
        )

    async def _read_by_id(self, asked: PlainRead) -> Response | None:
        trigger_id = int(asked.path["id"])
        if trigger_id > LARGEST_ID or not asked.principal.may_see(trigger_id):
            return None
        trigger = await self.lookup.get(OwnedId(asked.project_id, trigger_id))
        if trigger is None:
            return None
        return await self._answer(asked, trigger, self.reads)

    async def _read_by_key(self, asked: PlainRead) -> Response | None:
        if not is_key(asked.path["key"]):
            return None
        async with self.reads.open() as session:
            triggers = StoredTriggers(session)
            trigger = await triggers.get_by_key(asked.project_id, asked.path["key"])
            if trigger is None or not asked.principal.may_see(trigger.id):
                return None
            return await self._answer(asked, trigger, session)

    async def _answer(
        self, asked: PlainRead, trigger: TriggerRow, session: ReadSession
    ) -> Response:
        reading = Preconditions(if_none_match=asked.request.headers.get("if-none-match"))
        found = await self._reader(asked, session).write_unless_known(trigger, reading)
        return found if isinstance(found, Response) else asked.answered(found)

    async def _list(self, asked: PlainRead) -> Response | None:
        query: TriggerListQuery = asked.query.wanted
        summary = query.view is View.SUMMARY
        async with self.pages.open() as session:
            rows = await list_page(session, asked.principal, query, asked.paging)
            beside = await self._reader(asked, session).read_beside(rows)
        return asked.answered(await write_list(rows, beside, summary=summary))

    def _reader(self, asked: PlainRead, session: ReadSession) -> TriggerReader:
        may_fire = Scope.TRIGGERS_FIRE in asked.principal.scopes
        request, response = asked.request, asked.response
        return TriggerReader(session, self.hooks, base_url(request), may_fire, request, response)
