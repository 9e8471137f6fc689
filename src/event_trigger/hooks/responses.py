"""Makes the response to a call of a hook, for the router and the fast path."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from event_trigger.firing.pings import PingAnswer
from event_trigger.firing.plain_requests import fired_response
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.replies import JSON, PINGED, Reply
from event_trigger.hooks.requests import HookRequest
from event_trigger.web.root_path import base_url


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
