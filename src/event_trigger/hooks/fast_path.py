"""Answers calls of hooks outside FastAPI, and all that is asked by OPTIONS and HEAD.

Calls whose body is refused before anybody reads it are put on record.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from event_trigger.db.engine import is_outage
from event_trigger.db.errors import log_fields
from event_trigger.errors import EncodedBody, Problem, TooLarge
from event_trigger.firing.pings import PingAnswer
from event_trigger.firing.plain_requests import fired_response
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.requests import JSON, PINGED, HookRequest, Reply
from event_trigger.models import HookMethod
from event_trigger.web.fast_paths import read_body, reading_again
from event_trigger.web.request_head import base_url, client_address

_HOOK_PATH = re.compile(
    r"/hooks/(?P<token>[A-Za-z0-9_-]{1,100})(/(?P<signal>start|fail|[0-9]{1,3}))?", re.ASCII
)
_CALLS, _ASKS = frozenset(HookMethod), frozenset({"HEAD", "OPTIONS"})

log = structlog.get_logger()
_REFUSED: dict[int, type[Problem]] = {TooLarge.status: TooLarge, EncodedBody.status: EncodedBody}


async def respond(
    calls: HookCalls, token: str, scope: Scope, body: bytes, *, signal: str | None = None
) -> Response:
    """Answers a call whose body was read; raises its Problem."""
    sent = HookRequest.of(scope, body, base_url=lambda: base_url(Request(scope)), signal=signal)
    answer = await calls.answer(token, sent)
    if isinstance(answer, PingAnswer):
        answer = PINGED if scope["method"] != "HEAD" else Reply(media_type=JSON)
    if isinstance(answer, Reply):
        return Response(answer.body, answer.status, dict(answer.headers), answer.media_type)
    return fired_response(answer)


@dataclass(frozen=True, slots=True)
class HookFastPath:
    """Answers calls whose body has a known length; FastAPI's operation answers the others.

    OPTIONS and HEAD of a hook never go on: others would make a GET of HEAD, which may fire.
    """

    calls: HookCalls

    async def answer(self, scope: Scope, receive: Receive) -> Response | Receive:
        """Answers a call of a hook after the commit of its event; see web/fast_paths.py."""
        found = _path_of(scope)
        if found is None or not _is_answered(scope, has_signal=found["signal"] is not None):
            return receive
        body = await read_body(receive) if scope["method"] in _CALLS else b""
        if body is None:
            return reading_again(receive, None)
        return await respond(self.calls, found["token"], scope, body, signal=found["signal"])


def token_of(scope: Scope) -> str | None:
    """Returns the token in the path of a hook, or None for any other path."""
    found = _path_of(scope)
    return None if found is None else found["token"]


def _path_of(scope: Scope) -> re.Match[str] | None:
    path: str = scope["path"]
    return _HOOK_PATH.fullmatch(path.removeprefix(scope.get("root_path", "")))


def _is_answered(scope: Scope, *, has_signal: bool) -> bool:
    if has_signal and scope["method"] == HookMethod.PUT:
        return False  # there is no such operation
    return scope["method"] in _ASKS or (
        scope["method"] in _CALLS and not _is_chunked(scope["headers"])
    )


def _is_chunked(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return b"transfer-encoding" in [name for name, _ in headers]


@dataclass(frozen=True, slots=True)
class UnreadCalls:
    """Stands in front of the limit of bodies, and notes its refusals once they are answered."""

    app: ASGIApp
    calls: HookCalls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        token = token_of(scope) if scope["type"] == "http" else None
        if token is None:
            await self.app(scope, receive, send)
            return
        refused: type[Problem] | None = None

        async def send_and_look(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start":
                refused = _REFUSED.get(message["status"])
            await send(message)

        await self.app(scope, receive, send_and_look)
        if refused is not None:
            await self._record(token, scope, refused())

    async def _record(self, token: str, scope: Scope, problem: Problem) -> None:
        try:
            await self.calls.record_unread(
                token, problem, method=scope["method"], address=client_address(scope)
            )
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("refusal_not_recorded", **log_fields(error))
