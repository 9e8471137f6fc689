"""Answers plain calls of `POST /events/{id}/replay` outside FastAPI; they share commits with calls.

A plain replay has no Idempotency-Key, no body, and an event whose trigger is there. The operation
of FastAPI answers all others.
"""

import re
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Receive, Scope

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import resolve_principal
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope as AuthScope
from event_trigger.db.clock import DatabaseClock
from event_trigger.db.engine import is_outage
from event_trigger.db.plain_session import Pooled
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.http.hops import HOPS_HEADER
from event_trigger.errors import NotFound, Problem
from event_trigger.events.pages import ListedEvent
from event_trigger.events.source import EventSource, SourceKind, caller_source
from event_trigger.events.window import Retention, until_now, visible_window
from event_trigger.events.written import write_event
from event_trigger.firing.fire import Call, CallAnswer
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.rate_limits import RateLimits, fire_within_limits
from event_trigger.firing.replays import ReplayableEvent, ReplayableEvents
from event_trigger.models import EventType
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.fast_paths import plain_headers
from event_trigger.web.request_head import client_address

_PATH = re.compile(r"/events/(?P<id>[1-9][0-9]{0,18})/replay", re.ASCII)
_SCOPES = frozenset({AuthScope.TRIGGERS_FIRE, AuthScope.EVENTS_READ})
_HOPS_HEADER, _ONE_DIGIT = HOPS_HEADER.encode(), re.compile(rb"[0-9]")


@dataclass(frozen=True, slots=True)
class _PlainReplay:
    event_id: int
    hops: int


@dataclass(frozen=True, slots=True)
class ReplayFastPath:
    credentials: CredentialCache
    group_commit: GroupCommit
    rate_limits: RateLimits
    events: ReplayableEvents
    clock: DatabaseClock
    retention: Retention

    async def answer(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Answers a plain replay after the commit of its event; see web/fast_paths.py."""
        plain = _plain_replay_in(scope)
        found = None if plain is None else await self._find(scope, plain.event_id)
        if plain is None or found is None:
            return receive
        principal, trigger, event = found
        source = caller_source(principal, client_address(scope))._replace(kind=SourceKind.REPLAY)
        call = Call(
            trigger,
            None,
            event.is_test,
            None,
            hops=plain.hops,
            source=source,
            replayed=event.replayed,
        )
        try:
            made = await fire_within_limits(
                self.group_commit, self.rate_limits, call, caller=principal
            )
        except NotFound:  # the trigger has just been deleted: nothing was fired
            return receive
        return await self._answered(event, trigger, source, made)

    async def _find(
        self, scope: Scope, event_id: int
    ) -> tuple[Principal, OwnedId, ReplayableEvent] | None:
        """Returns the caller, the trigger and the event, if the caller may replay it."""
        try:
            principal = await resolve_principal(scope, self.credentials)
            if principal is None or not principal.scopes >= _SCOPES:
                return None
            if (project_id := principal.project_id) is None:
                return None
            now = await self.clock.now()
            window = until_now(visible_window(self.retention, now=now), now)
            event = await self.events.get(OwnedId(project_id, event_id), window)
        except (Problem, Pooled):
            return None
        except Exception as error:
            if not is_outage(error):
                raise
            return None
        if event is None or not principal.may_see(event.trigger_id):
            return None
        return principal, OwnedId(project_id, event.trigger_id), event

    async def _answered(
        self, event: ReplayableEvent, trigger: OwnedId, source: EventSource, made: CallAnswer
    ) -> Response:
        assert made.triggered_at is not None
        new = ListedEvent(
            shard=trigger.shard,
            id=made.event_id,
            triggered_at=made.triggered_at,
            trigger_id=trigger.id,
            type=EventType.API,
            scheduled_for=None,
            payload=event.replayed.payload,
            is_test=event.is_test,
            replay_of=event.replayed.id,
            source=source.as_json(),
            size=0,
            names=(event.trigger_key, event.trigger_name),
        )
        body = write_event(new, self.retention, now=await self.clock.now())
        headers = {"Location": f"/events/{made.event_id}"}
        return Response(body, 201, headers, "application/json")


def _plain_replay_in(scope: Scope) -> _PlainReplay | None:
    """Reads a plain replay from the path and the headers; None for any other request."""
    path = _PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
    headers = None if path is None else plain_headers(scope)
    if path is None or headers is None or int(path["id"]) > LARGEST_ID:
        return None
    hops = headers.get(_HOPS_HEADER, b"0")
    has_body = headers.get(b"content-length", b"0") != b"0"
    if has_body or b"idempotency-key" in headers or not _ONE_DIGIT.fullmatch(hops):
        return None
    return _PlainReplay(int(path["id"]), int(hops))
