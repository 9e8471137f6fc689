"""Hooks over HTTP: called by strangers who know a URL, replaced by the trigger's owner."""

from typing import Annotated, Any

from fastapi import Depends, Path, Request, Response

from event_trigger.auth.dependencies import needs
from event_trigger.auth.scopes import Scope
from event_trigger.deliveries.http.hops import HOPS_HEADER, LoopDetected
from event_trigger.destinations.dependencies import VaultDep
from event_trigger.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized, Unavailable
from event_trigger.firing.rate_limits import TooManyCalls, fire_within_limits, headers_of
from event_trigger.firing.router import GroupCommitDep, RateLimitsDep
from event_trigger.firing.schemas import Fired
from event_trigger.hooks.calls import HookCalls
from event_trigger.hooks.lifecycle import rotate
from event_trigger.hooks.verifiers import SignatureRefused
from event_trigger.triggers.dependencies import ReaderDep, TriggerKeyDep
from event_trigger.triggers.schemas import TriggerWritten
from event_trigger.web.problems import problems
from event_trigger.web.session import SessionDep
from event_trigger.web.state import app_state
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/hooks",
    tags=["firing"],
    responses=problems(
        SignatureRefused, NotFound, Conflict, Invalid, TooManyCalls, Unavailable, LoopDetected
    ),
)
rotations = strict_router(
    prefix="/triggers",
    tags=["triggers"],
    responses=problems(Unauthorized, Forbidden, NotFound, Conflict, Invalid),
    dependencies=[needs(Scope.TRIGGERS_WRITE)],
)


async def get_hook_calls(request: Request) -> HookCalls:
    return app_state(request).hook_calls


HookCallsDep = Annotated[HookCalls, Depends(get_hook_calls)]
Token = Annotated[str, Path(description="The last part of a trigger's `hook_url`.")]
# in words only: what is read before the signature is checked must not answer 422
_HEADERS = {
    "webhook-id": "Standard Webhooks: signed, and the same event when it is repeated in 48 hours.",
    "webhook-timestamp": "Standard Webhooks: seconds since 1970, at most 5 minutes from now.",
    "webhook-signature": "Standard Webhooks: `v1,` and a signature in base64, or several.",
    "X-Hub-Signature-256": "GitHub: `sha256=` and the HMAC-SHA256 of the body.",
    "X-GitHub-Delivery": "GitHub: the same event when it is repeated in 48 hours.",
    "Idempotency-Key": "With `none`: the same event when it is repeated in 48 hours.",
    HOPS_HEADER: "How many deliveries have led to this call; at 10 it is a loop, and refused.",
}
_DESCRIBED: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "description": words, "schema": {"type": "string"}}
        for name, words in _HEADERS.items()
    ],
    "requestBody": {
        "description": "Any JSON object, or nothing. It is merged into the predefined payload.",
        "content": {
            "application/json": {
                "schema": {"type": "object", "additionalProperties": True},
                "examples": {"what happened": {"value": {"action": "published"}}},
            }
        },
    },
}


@router.post(
    "/{token}", summary="Fire by a hook", operation_id="call_hook", openapi_extra=_DESCRIBED
)
async def call_hook(
    token: Token,
    request: Request,
    calls: HookCallsDep,
    rate_limits: RateLimitsDep,
    group_commit: GroupCommitDep,
    response: Response,
) -> Fired:
    """For senders that cannot hold a token: as firing, but known by a signature over the body.

    What is not signed as the trigger's `details.hook` asks is a 401, and no event. The same
    `webhook-id` or `X-GitHub-Delivery` within 48 hours is the same event. GitHub signs neither time
    nor id: whoever has caught such a call can send it again under another id.
    """
    body, hops = await request.body(), request.headers.getlist(HOPS_HEADER)
    call = await calls.read(token, request.headers, body, hops=hops)
    answer = await fire_within_limits(group_commit, rate_limits, call, caller=None)
    response.headers.update(headers_of(answer))
    return Fired()


@rotations.post(
    "/{trigger_id}/hook/rotate", summary="Replace a trigger's hook", operation_id="rotate_hook"
)
async def rotate_hook(
    key: TriggerKeyDep, session: SessionDep, vault: VaultDep, reader: ReaderDep
) -> TriggerWritten:
    """A new URL and, unless it verifies nothing, a new secret, shown this once.

    The old URL is dead at once. Also the way out when a hook cannot be read any more, because its
    key was lost.
    """
    trigger, made = await rotate(session, vault, key)
    return await reader.read_written(trigger, made)
