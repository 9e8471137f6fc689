"""The HTTP operation that applies an action to many triggers."""

from typing import Annotated

from fastapi import Body, Response
from fastapi.openapi.models import Example

from event_trigger.actions.schemas import ActionResult, result_of
from event_trigger.actions.triggers.apply import ManyTriggersAction
from event_trigger.actions.triggers.schemas import TriggerActions
from event_trigger.auth.dependencies import EXPENSIVE, PrincipalDep
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import MissingScope, Scope
from event_trigger.deliveries.dependencies import HopsDep
from event_trigger.errors import Invalid, NotFound, Unauthorized, UnsupportedMediaType
from event_trigger.events.dependencies import SourceDep
from event_trigger.firing.dependencies import RateLimitsDep
from event_trigger.triggers.dependencies import HooksDep
from event_trigger.web.cpu_bound import TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/triggers",
    tags=["triggers"],
    responses=problems(
        Unauthorized,
        MissingScope([Scope.TRIGGERS_WRITE]),
        NotFound,
        UnsupportedMediaType,
        Invalid,
        TooManyExpensiveCalls,
    ),
)
ACTION_EXAMPLES: dict[str, Example] = {
    "count the triggers that a pause would change": {
        "value": {"action": "pause", "filter": {"tag": ["nightly"]}, "dry_run": True}
    },
    "add a tag": {"value": {"action": "tag", "ids": [1], "tags": ["nightly"]}},
}


@router.post(
    "/actions",
    summary="Act on many triggers",
    operation_id="act_on_triggers",
    response_model=ActionResult,
    dependencies=[EXPENSIVE, IDEMPOTENT],
)
async def act_on_triggers(
    body: Annotated[TriggerActions, Body(openapi_examples=ACTION_EXAMPLES)],
    principal: PrincipalDep,
    session: SessionDep,
    hooks: HooksDep,
    rate_limits: RateLimitsDep,
    hops: HopsDep,
    source: SourceDep,
) -> Response:
    """Applies an action to up to 10,000 triggers, given by `ids` or `filter`, in one transaction.

    `pause`, `resume`, `fire` and `test` need the scope `triggers:fire`; `delete`, `tag`, `untag`
    and `set_destinations` need `triggers:write`; a `filter` also needs `triggers:read`. Naming
    `destinations` needs `destinations:read`. Triggers that cannot be changed are in `failed`, each
    with the problem of the single operation, and spoil nothing for the others. `fire` and `test`
    send no payload. With `dry_run` the numbers are the same, and nothing is changed.
    """
    action = ManyTriggersAction(session, hooks, rate_limits, principal, hops, source)
    applied = await action.apply(body)
    result = await result_of(
        ids=body.ids,
        found=applied.found,
        changed=len(applied.changed),
        failed=applied.failed,
    )
    return Response(result.model_dump_json(), media_type="application/json")
