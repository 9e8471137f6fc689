"""The HTTP operation that fires many calls at once."""

from typing import Annotated

from fastapi import Body
from fastapi.openapi.models import Example

from event_trigger.auth.dependencies import PrincipalDep, needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.deliveries.dependencies import HopsDep
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, UnsupportedMediaType
from event_trigger.events.dependencies import SourceDep
from event_trigger.firing.batch.body import BatchRoute
from event_trigger.firing.batch.calls import BatchFirer
from event_trigger.firing.batch.schemas import (
    BatchResults,
    CallFired,
    CallRefused,
    TriggerBatch,
)
from event_trigger.firing.dependencies import BATCH_SLOT, RateLimitsDep
from event_trigger.firing.fire import CallAnswer
from event_trigger.web.cpu_bound import TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.problems import in_place, problems
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/triggers",
    tags=["triggers"],
    route_class=BatchRoute,
    responses=problems(
        Unauthorized, Forbidden, NotFound, UnsupportedMediaType, Invalid, TooManyExpensiveCalls
    ),
    dependencies=[needs(Scope.TRIGGERS_FIRE)],
)
BATCH_EXAMPLES: dict[str, Example] = {
    "two calls": {
        "value": {
            "calls": [
                {"trigger": 1, "payload": {"order": 42}, "idempotency_key": "order-42"},
                {"trigger": "nightly-report"},
            ]
        }
    }
}


@router.post(
    "/trigger-batch",
    summary="Fire many calls",
    operation_id="fire_trigger_batch",
    dependencies=[BATCH_SLOT, IDEMPOTENT],
)
async def fire_trigger_batch(
    body: Annotated[TriggerBatch, Body(openapi_examples=BATCH_EXAMPLES)],
    principal: PrincipalDep,
    session: SessionDep,
    rate_limits: RateLimitsDep,
    hops: HopsDep,
    source: SourceDep,
) -> BatchResults:
    """Fires up to 1,000 calls, of any of the project's triggers, in one commit.

    Each result is the `event_id` of its call, or the `problem` that the call would have got alone;
    a call that is refused changes nothing for the others. Calls with the same trigger and
    `idempotency_key` in one batch are one call. If the answer is an error or is lost, either all
    events were stored or none: send the batch again with the same keys.
    """
    answers = await BatchFirer(session, rate_limits, principal, hops, source).fire(body.calls)
    return BatchResults(
        results=[
            CallFired(event_id=one.event_id)
            if isinstance(one, CallAnswer)
            else CallRefused(problem=in_place(one))
            for one in answers
        ]
    )
