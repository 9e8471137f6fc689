"""Answers plain GETs of the overview; see auth/plain_reads.py."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.responses import Response

from event_trigger.auth.plain_reads import PlainDoor, PlainRead
from event_trigger.auth.scopes import Scope
from event_trigger.db.plain_session import PlainReads
from event_trigger.events.window import Retention
from event_trigger.overview.glance import take_glance
from event_trigger.overview.schemas import read_overview
from event_trigger.web.plain_queries import NoQuery

_SCOPES = frozenset({Scope.TRIGGERS_READ, Scope.EVENTS_READ, Scope.DESTINATIONS_READ})


@dataclass(frozen=True, slots=True)
class PlainOverview:
    reads: PlainReads
    retention: Retention

    @property
    def doors(self) -> Sequence[PlainDoor]:
        return (PlainDoor(re.compile("/overview"), _SCOPES, NoQuery(), self._read),)

    async def _read(self, asked: PlainRead) -> Response | None:
        if asked.principal.trigger_ids is not None:
            return None
        async with self.reads.open() as session:
            glance = await take_glance(session, asked.principal, self.retention)
        return asked.answered(read_overview(glance).model_dump_json().encode())
