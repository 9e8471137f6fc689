"""Answers plain calls of `POST /triggers/{id}/trigger` and `/test` outside FastAPI, by key too."""

import re
import time
from dataclasses import dataclass
from typing import NamedTuple

from starlette.responses import Response
from starlette.types import Receive, Scope

from event_trigger.auth.credential_cache import CredentialCache
from event_trigger.auth.early_auth import RESOLVED_FOR_SECONDS, resolve_principal
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope as AuthScope
from event_trigger.db.engine import is_outage
from event_trigger.db.shards import OwnedId
from event_trigger.deliveries.http.hops import HOPS_HEADER
from event_trigger.errors import Problem
from event_trigger.events.source import caller_source
from event_trigger.firing.fire import Call
from event_trigger.firing.group_commit import GroupCommit
from event_trigger.firing.named_triggers import NamedTriggers
from event_trigger.firing.plain_requests import fired_response, read_object
from event_trigger.firing.rate_limits import RateLimits, fire_within_limits
from event_trigger.firing.refusals import KeyMoved
from event_trigger.models.base import LARGEST_ID
from event_trigger.web.fast_paths import plain_headers, read_body, reading_again
from event_trigger.web.keys import is_key
from event_trigger.web.request_head import client_address

_FIRE_PATH = re.compile(
    r"/triggers/(?:(?P<id>[1-9][0-9]{0,18})|by-key/(?P<key>[^/]+))/(?P<way>trigger|test)", re.ASCII
)
_KEY = re.compile(rb"[!-~]{1,255}")
_HOPS_HEADER, _ONE_DIGIT = HOPS_HEADER.encode(), re.compile(rb"[0-9]")
_JSON_TYPE = b"application/json"


class _PlainCall(NamedTuple):
    """The parts of a plain call that come before its body; it has either an id or a key."""

    trigger_id: int | None
    named: str | None
    is_test: bool
    media_type: bytes | None
    idempotency_key: str | None
    hops: int


class _Permission(NamedTuple):
    """The caller of a plain call, and the trigger that the caller may fire."""

    principal: Principal
    trigger: OwnedId


@dataclass(frozen=True, slots=True)
class CallFastPath:
    credentials: CredentialCache
    group_commit: GroupCommit
    rate_limits: RateLimits
    named_triggers: NamedTriggers

    async def answer(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Answers a plain call after the commit of its event; see web/fast_paths.py."""
        plain, began = _plain_call_in(scope), time.monotonic()
        permission = None if plain is None else await self._permission(scope, plain)
        if plain is None or permission is None:
            return receive
        body = await read_body(receive)
        if body and time.monotonic() - began > RESOLVED_FOR_SECONDS:
            permission = await self._permission(scope, plain)
        value, is_object = read_object(body or b"")
        is_valid = is_object and (not body or plain.media_type == _JSON_TYPE)
        if body is None or permission is None or not is_valid:
            return reading_again(receive, body)
        call = Call(
            permission.trigger,
            value,
            plain.is_test,
            plain.idempotency_key,
            hops=plain.hops,
            named=plain.named,
            source=caller_source(permission.principal, client_address(scope)),
        )
        caller = permission.principal
        try:
            fired = await fire_within_limits(
                self.group_commit, self.rate_limits, call, caller=caller
            )
        except KeyMoved:  # nothing was fired: the endpoint looks the key up again
            self.named_triggers.forget(call.trigger, call.named or "")
            return reading_again(receive, body)
        return fired_response(fired)

    async def _permission(self, scope: Scope, plain: _PlainCall) -> _Permission | None:
        """Returns the caller's permission to fire the trigger, or None."""
        try:
            principal = await resolve_principal(scope, self.credentials)
            trigger_id = await self._trigger_id(plain, principal)
        except Problem:
            return None  # the endpoint answers it
        except Exception as error:
            if not is_outage(error):
                raise
            return None
        if principal is None or AuthScope.TRIGGERS_FIRE not in principal.scopes:
            return None
        if principal.project_id is None or trigger_id is None:
            return None  # the endpoint finds the trigger's project, or refuses
        if not principal.may_see(trigger_id):
            return None
        return _Permission(principal, OwnedId(principal.project_id, trigger_id))

    async def _trigger_id(self, plain: _PlainCall, principal: Principal | None) -> int | None:
        if plain.named is None or principal is None or principal.project_id is None:
            return plain.trigger_id
        return await self.named_triggers.find(principal.project_id, plain.named)


def _plain_call_in(scope: Scope) -> _PlainCall | None:
    """Reads a plain call from the path and the headers; None for any other request."""
    path = _FIRE_PATH.fullmatch(scope["path"]) if scope["type"] == "http" else None
    headers = None if path is None else plain_headers(scope)
    if headers is None or path is None or not _is_right(path["id"], path["key"]):
        return None
    key, hops = headers.get(b"idempotency-key"), headers.get(_HOPS_HEADER, b"0")
    if not _ONE_DIGIT.fullmatch(hops) or (key is not None and not _KEY.fullmatch(key)):
        return None
    return _PlainCall(
        None if path["id"] is None else int(path["id"]),
        path["key"],
        path["way"] == "test",
        headers.get(b"content-type"),
        None if key is None else key.decode(),
        int(hops),
    )


def _is_right(trigger_id: str | None, key: str | None) -> bool:
    if trigger_id is not None:
        return int(trigger_id) <= LARGEST_ID
    return key is not None and is_key(key)
