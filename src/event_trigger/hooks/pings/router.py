"""HTTP operations by which jobs tell heartbeats that they start, have failed, or how they ended."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from event_trigger.deliveries.http.hops import LoopDetected, malformed_hops
from event_trigger.errors import NotFound, Unavailable
from event_trigger.firing.rate_limits import TooManyCalls
from event_trigger.firing.refusals import EventsFull
from event_trigger.hooks.acceptance import MethodRefused, QueryTooLong
from event_trigger.hooks.fast_path import respond
from event_trigger.hooks.requests import NotFired, PingReceived
from event_trigger.hooks.router import HOPS_PARAMETER, HookCallsDep, Token
from event_trigger.hooks.signatures.refused import SignatureRefused
from event_trigger.web.problems import problems
from event_trigger.web.routes import LazyRoute

router = APIRouter(  # jobs add queries of their own
    prefix="/hooks",
    tags=["hooks"],
    route_class=LazyRoute,
    responses=problems(
        SignatureRefused,
        NotFound,
        MethodRefused,
        QueryTooLong,
        malformed_hops(),
        TooManyCalls,
        Unavailable,
        EventsFull,
        LoopDetected,
    ),
)
Signal = Annotated[
    str,
    Path(
        description="`start`, `fail`, or the exit code of the job, 0 to 255: 0 is a success, and"
        " all others are failures.",
        examples=["fail"],
    ),
]
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": PingReceived},
    202: {"model": NotFired, "description": "The trigger is paused: the ping does not count."},
}


@router.post(
    "/{token}/{signal}",
    summary="Ping a heartbeat with a signal",
    operation_id="ping_hook",
    openapi_extra={"parameters": [HOPS_PARAMETER]},
    responses=_RESPONSES,
)
async def ping_hook(
    token: Token, signal: Signal, request: Request, calls: HookCallsDep
) -> Response:
    """Tells a heartbeat that its job starts, has failed, or has ended with an exit code.

    A failure fires an event at once, with the `state` "silent", as the absence of a ping does. A
    start only begins the measured `duration_ms` of the events to come. Without a signal, a call of
    `/hooks/{token}` is a success. A body is verified, if it is signed, and not read.
    """
    return await respond(calls, token, request.scope, await request.body(), signal=signal)


@router.get(
    "/{token}/{signal}",
    summary="Ping a heartbeat with a signal by GET",
    operation_id="ping_hook_by_get",
    openapi_extra={"parameters": [HOPS_PARAMETER]},
    responses=_RESPONSES,
)
async def ping_hook_by_get(
    token: Token, signal: Signal, request: Request, calls: HookCallsDep
) -> Response:
    """Does what `POST /hooks/{token}/{signal}` does, and so does HEAD."""
    return await respond(calls, token, request.scope, await request.body(), signal=signal)
