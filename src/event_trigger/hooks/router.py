"""HTTP operations on hooks: senders call them, and the trigger's owner replaces them."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from event_trigger.auth.dependencies import needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.deliveries.http.hops import HOPS_HEADER, LoopDetected
from event_trigger.destinations.dependencies import VaultDep
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from event_trigger.firing.dependencies import GroupCommitDep, RateLimitsDep
from event_trigger.firing.fire import EventsFull, Paused
from event_trigger.firing.rate_limits import (
    FIRED_HEADERS,
    TooManyCalls,
    fire_within_limits,
    headers_of,
)
from event_trigger.firing.schemas import Fired
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.lifecycle import NoHook, rotate
from event_trigger.hooks.verifiers import SignatureRefused
from event_trigger.triggers.dependencies import ReaderDep, TriggerKeyDep
from event_trigger.triggers.schemas.responses import TriggerWritten
from event_trigger.web.problems import problems
from event_trigger.web.response_headers import with_headers
from event_trigger.web.session import SessionDep
from event_trigger.web.state import app_state
from event_trigger.web.strict_json import strict_router

router = APIRouter(  # senders add queries of their own
    prefix="/hooks",
    tags=["hooks"],
    responses=problems(
        SignatureRefused,
        NotFound,
        Paused,
        Invalid.at([], "Send a JSON object as the body, or no body."),
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
    "Idempotency-Key": "With `none`: an id. Repeated within 48 hours, it is the same event.",
    HOPS_HEADER: "How many deliveries led to this call; from 10 on, it is refused as a loop.",
}
_OPENAPI: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}
        for name, words in _SENDER_HEADERS.items()
    ],
    "requestBody": {
        "description": "A JSON object, or nothing. It is merged into the predefined payload.",
        "content": {
            "application/json": {
                "schema": {"$ref": "#/components/schemas/JsonObject"},
                "examples": {"a published release": {"value": {"action": "published"}}},
            }
        },
    },
}


@router.post(
    "/{token}",
    summary="Fire by a hook",
    operation_id="call_hook",
    openapi_extra=_OPENAPI,
    responses=with_headers(200, *FIRED_HEADERS),
)
async def call_hook(
    token: Token,
    request: Request,
    calls: HookCallsDep,
    rate_limits: RateLimitsDep,
    group_commit: GroupCommitDep,
    response: Response,
) -> Fired:
    """Fires a trigger for a sender that cannot hold a token, but can sign the body.

    A call whose signature does not match `details.hook` of the trigger is a 401, and makes no
    event. Calls with the same `webhook-id` or `X-GitHub-Delivery` within 48 hours make one event.
    GitHub signs neither a time nor an id, so a captured call could be sent again with another id.
    """
    body, hops = await request.body(), request.headers.getlist(HOPS_HEADER)
    call = await calls.read(token, request.headers, body, hops=hops)
    answer = await fire_within_limits(group_commit, rate_limits, call, caller=None)
    response.headers.update(headers_of(answer))
    return Fired()


@rotations.post(
    "/{trigger_id:id}/hook/rotate",
    summary="Replace a trigger's hook",
    operation_id="rotate_hook",
    dependencies=[IDEMPOTENT],
)
async def rotate_hook(
    key: TriggerKeyDep, session: SessionDep, vault: VaultDep, reader: ReaderDep
) -> TriggerWritten:
    """Returns the trigger's hook a new URL, and a new secret if its calls are signed.

    The secret is shown only once, and the old URL stops working at once. This also repairs a hook
    that cannot be decrypted, because the service has lost its key.
    """
    trigger, made = await rotate(session, vault, key)
    return await reader.read_written(trigger, made)
