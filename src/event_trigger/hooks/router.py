"""HTTP operations on hooks: senders call them, and the trigger's owner replaces them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from event_trigger.auth.dependencies import needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.deliveries.http.hops import HOPS_HEADER, LoopDetected
from event_trigger.destinations.dependencies import VaultDep
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from event_trigger.firing.rate_limits import FIRED_HEADERS, TooManyCalls
from event_trigger.firing.refusals import EventsFull
from event_trigger.firing.schemas import Fired
from event_trigger.hooks.acceptance import MethodRefused, QueryTooLong
from event_trigger.hooks.bodies.forms import UnreadableBody
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.fast_path import respond
from event_trigger.hooks.questions import WrongVerifyToken
from event_trigger.hooks.requests import NotFired, PingReceived
from event_trigger.hooks.rotation import HookRotation, NoHook, Rotation
from event_trigger.hooks.signatures.refused import SignatureRefused
from event_trigger.idempotency.refusals import StillRunning
from event_trigger.triggers.dependencies import ReaderDep, TriggerKeyDep
from event_trigger.triggers.schemas.responses import TriggerWritten
from event_trigger.web.dependencies import SessionDep, app_state
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.routes import LazyRoute
from event_trigger.web.strict_json import strict_router

router = APIRouter(  # senders add queries of their own
    prefix="/hooks",
    tags=["hooks"],
    route_class=LazyRoute,
    responses=problems(
        SignatureRefused,
        NotFound,
        MethodRefused,
        StillRunning,
        QueryTooLong,
        UnreadableBody.at([], "This is not acceptable JSON: Expecting value."),
        TooManyCalls,
        Unavailable,
        EventsFull,
        LoopDetected,
    ),
)
rotations = strict_router(
    prefix="/triggers",
    tags=["hooks"],
    responses=problems(Unauthorized, Forbidden, NotFound, NoHook, Invalid),
    dependencies=[needs(Scope.TRIGGERS_WRITE)],
)


async def get_hook_calls(request: Request) -> HookCalls:
    return app_state(request).hook_calls


HookCallsDep = Annotated[HookCalls, Depends(get_hook_calls)]
Token = Annotated[str, Path(description="The last part of a trigger's `hook_url`.")]
# only documented: validating them before the signature would answer 422 instead of 401
_SENDER_HEADERS = {
    "webhook-id": "Standard Webhooks: a signed id. Repeated within 48 hours, it is the same event.",
    "webhook-timestamp": "Standard Webhooks: seconds since 1970, at most 5 minutes from now.",
    "webhook-signature": "Standard Webhooks: one or more signatures, each `v1,` and base64.",
    "X-Hub-Signature-256": "GitHub: `sha256=` and the HMAC-SHA256 of the body.",
    "X-GitHub-Delivery": "GitHub: an id. Repeated within 48 hours, it is the same event.",
    "Idempotency-Key": "With kinds without an id of their own: an id. Repeated within 48 hours,"
    " it is the same event.",
    HOPS_HEADER: "How many deliveries led to this call; from 10 on, it is refused as a loop.",
}
_PARAMETERS: list[dict[str, Any]] = [
    {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}
    for name, words in _SENDER_HEADERS.items()
]
HOPS_PARAMETER = next(one for one in _PARAMETERS if one["name"] == HOPS_HEADER)
_BODY_WORDS = "JSON, a form, text, or nothing. It is merged into the predefined payload."
_BODIES: dict[str, Any] = {
    "application/json": {
        "schema": {},
        "examples": {"a published release": {"value": {"action": "published"}}},
    },
    "application/x-www-form-urlencoded": {
        "schema": {"type": "object", "examples": [{"command": "/deploy", "text": "now"}]}
    },
    "multipart/form-data": {"schema": {"type": "object", "examples": [{"subject": "Backup done"}]}},
}  # text is named in words only: generators of clients know no such body
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {"model": Fired | PingReceived, **with_headers(200, *FIRED_HEADERS)[200]},
    202: {"model": NotFired, "description": "The trigger is paused: no event was made."},
}
_SENT = {"requestBody": {"description": _BODY_WORDS, "content": _BODIES}}


@router.post(
    "/{token}",
    summary="Fire by a hook",
    operation_id="call_hook",
    openapi_extra={"parameters": _PARAMETERS, **_SENT},
    responses=_RESPONSES,
)
async def call_hook(token: Token, request: Request, calls: HookCallsDep) -> Response:
    """Fires a trigger for a sender that cannot hold a token, but can sign the body.

    The payload is a JSON object as it was sent, to the letter. Other JSON, and text, is
    `{"body": …}`; a form its fields: repeated ones as a list, of files the name, type and size.
    Characters that cannot be stored are replaced by U+FFFD. The event's `source` has the sender's
    headers that say what the call is about.

    A call whose signature does not match `details.hook` of the trigger is a 401, and makes no
    event. Calls with the same id of the sender within 48 hours make one event. GitHub signs neither
    a time nor an id, so a captured call could be sent again with another id.

    Senders that first ask whether the URL may be called are answered without an event: Slack's
    `url_verification`, `hub.challenge`, Discord's PING, the validation of Azure Event Grid, OPTIONS
    of CloudEvents. So is a `ping` of GitHub. A paused trigger answers 202, and makes no event.
    """
    return await respond(calls, token, request.scope, await request.body())


@router.put(
    "/{token}",
    summary="Fire by a hook with PUT",
    operation_id="call_hook_by_put",
    openapi_extra={"parameters": _PARAMETERS, **_SENT},
    responses=_RESPONSES,
)
async def call_hook_by_put(token: Token, request: Request, calls: HookCallsDep) -> Response:
    """Fires as `POST /hooks/{token}` does, if `details.hook.methods` names PUT."""
    return await respond(calls, token, request.scope, await request.body())


@router.get(
    "/{token}",
    summary="Fire by a hook with GET",
    operation_id="call_hook_by_get",
    openapi_extra={"parameters": _PARAMETERS},
    responses={**_RESPONSES, **problems(WrongVerifyToken)},
)
async def call_hook_by_get(token: Token, request: Request, calls: HookCallsDep) -> Response:
    """Fires as `POST /hooks/{token}` does, if `details.hook.methods` names GET.

    HEAD fires nothing, and neither does a browser that fetches the URL in advance. With
    `details.hook.verify_token`, a call with `hub.challenge` is answered with the challenge.
    """
    return await respond(calls, token, request.scope, await request.body())


async def read_rotation(request: Request, body: HookRotation | None = None) -> HookRotation:
    """Reads a body that may be left out; raises Invalid for `null`, which is no object."""
    if body is None and await request.body():
        raise Invalid.at([], "Send a JSON object, or no body.")
    return HookRotation() if body is None else body


HookRotationDep = Annotated[HookRotation, Depends(read_rotation)]


@rotations.post(
    "/{trigger_id:id}/hook/rotate",
    summary="Replace a trigger's hook",
    operation_id="rotate_hook",
    dependencies=[IDEMPOTENT],
)
async def rotate_hook(
    key: TriggerKeyDep,
    session: SessionDep,
    vault: VaultDep,
    reader: ReaderDep,
    asked: HookRotationDep,
) -> TriggerWritten:
    """Returns the trigger's hook a new URL, and a new secret if its calls are signed.

    The secret is shown only once, unless it was given, and the old URL stops working at once. This
    also repairs a hook that cannot be decrypted, because the service has lost its key. With
    `keep_old`, only the secret is replaced, and for 24 hours either of them counts.
    """
    trigger, shown = await Rotation(session, vault).rotate(key, asked)
    return await reader.read_written(trigger, shown)
