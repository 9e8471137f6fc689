"""Answers `POST /triggers/{id}/trigger` below FastAPI's routing, which takes most of its time.

Only calls that are plainly right are answered here. All others go on to the operation that
describes them, which says what is wrong: there is one place for that.
"""

import json
import re
import time
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.auth.credentials import Credentials
from event_trigger.auth.gate import principal_in
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope as Right
from event_trigger.db.engine import is_outage
from event_trigger.deliveries.hops import HOPS_HEADER
from event_trigger.dispatch.by_hand import fire_by_hand, headers_of
from event_trigger.dispatch.firing import Call, Sent
from event_trigger.dispatch.group_commit import GroupCommit
from event_trigger.dispatch.rates import Rates
from event_trigger.dispatch.schemas import Fired
from event_trigger.errors import Problem
from event_trigger.triggers.repository import OwnedId
from event_trigger.web.problems import answer, outage
from event_trigger.web.schemas import LARGEST_ID
from event_trigger.web.strict_json import loads

_PATH = re.compile(r"/triggers/([1-9][0-9]{0,18})/trigger", re.ASCII)
_KEY = re.compile(rb"[!-~]{1,255}")
_HOPS, _FEW = HOPS_HEADER.encode(), re.compile(rb"[0-9]")
_JSON = b"application/json"
_FIRED = Fired().model_dump_json().encode()
_AT_ONCE = 0.05  # seconds that a body may take before its caller is asked for again


@dataclass(frozen=True, slots=True)
class FastPath:
    app: ASGIApp
    credentials: Credentials
    group_commit: GroupCommit
    rates: Rates

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        trigger_id, headers = _called_in(scope)
        if trigger_id is None:
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        caller = await self._caller(scope, trigger_id)
        if caller is None:
            await self.app(scope, receive, send)
            return
        body = await _body_of(receive)
        if body is None:
            await self.app(scope, _gone, send)
            return
        if time.monotonic() - began > _AT_ONCE:
            caller = await self._caller(scope, trigger_id)
        value, is_right = _read(body, headers.get(b"content-type"))
        if caller is None or not is_right:
            await self.app(scope, _again(body, receive), send)
            return
        key = headers.get(b"idempotency-key")
        call = Call(
            OwnedId(caller.user_id, trigger_id),
            value,
            is_test=False,
            idempotency_key=None if key is None else key.decode(),
            hops=int(headers.get(_HOPS, b"0")),
        )
        await (await self._fire(call, caller, scope))(scope, receive, send)

    async def _caller(self, scope: Scope, trigger_id: int) -> Principal | None:
        """Whoever may fire the trigger if it is their own: an admin may name others' as well."""
        try:
            found = await principal_in(scope, self.credentials)
        except Exception as error:
            if not is_outage(error):
                raise
            return None
        if found is None or found.is_admin or not found.may_see(trigger_id):
            return None
        return found if Right.TRIGGERS_FIRE in found.scopes else None

    async def _fire(self, call: Call, caller: Principal, scope: Scope) -> Response:
        try:
            fired = await fire_by_hand(self.group_commit, self.rates, call, caller=caller)
        except Problem as problem:
            return answer(problem)
        except Exception as error:
            if not is_outage(error):
                raise
            return outage(scope["path"], error)
        return Response(_FIRED, headers=headers_of(fired), media_type="application/json")


def _called_in(scope: Scope) -> tuple[int | None, dict[bytes, bytes]]:
    """Which trigger is called, if it is done in the plainest way; and the headers."""
    if scope["type"] != "http" or scope["method"] != "POST" or scope.get("root_path"):
        return None, {}
    found = _PATH.fullmatch(scope["path"])
    if found is None or scope["query_string"]:
        return None, {}
    headers = dict(scope["headers"])
    is_plain = (
        len(headers) == len(scope["headers"])
        and b"transfer-encoding" not in headers
        and _KEY.fullmatch(headers.get(b"idempotency-key", b"-")) is not None
        and _FEW.fullmatch(headers.get(_HOPS, b"0")) is not None
        and int(found[1]) <= LARGEST_ID
    )
    return int(found[1]) if is_plain else None, headers


async def _body_of(receive: Receive) -> bytes | None:
    """None if the caller has gone."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(parts)


def _read(body: bytes, media_type: bytes | None) -> tuple[Sent | None, bool]:
    """The JSON object in a body, or None if there is none; and whether that is what it is."""
    if not body:
        return None, True
    if media_type != _JSON:
        return None, False
    try:
        value = loads(body)
    except json.JSONDecodeError:
        return None, False
    return (Sent(value, body.decode()), True) if isinstance(value, dict) else (None, False)


async def _gone() -> Message:
    return {"type": "http.disconnect"}


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives a body that was read already, and then whatever comes."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_again() -> Message:
        return messages.pop() if messages else await receive()

    return receive_again
