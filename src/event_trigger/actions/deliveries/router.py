"""The HTTP operation that applies an action to many deliveries."""

from typing import Annotated

from fastapi import Body, Response
from fastapi.openapi.models import Example

from event_trigger.actions.deliveries.apply import ManyDeliveriesAction
from event_trigger.actions.deliveries.schemas import DeliveryAction, DeliveryActions
from event_trigger.actions.schemas import ActionResult, result_of
from event_trigger.auth.dependencies import EXPENSIVE, UNLIMITED, PrincipalDep, needs
from event_trigger.auth.idempotency import IDEMPOTENT
from event_trigger.auth.scopes import Scope
from event_trigger.deliveries.dependencies import HopsDep
from event_trigger.deliveries.http.hops import LoopDetected, refuse_loop
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized, UnsupportedMediaType
from event_trigger.web.cpu_bound import TooManyExpensiveCalls
from event_trigger.web.dependencies import SessionDep, SettingsDep
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(
    prefix="/deliveries",
    tags=["deliveries"],
    responses=problems(
        Unauthorized,
        Forbidden,
        NotFound,
        UnsupportedMediaType,
        Invalid,
        TooManyExpensiveCalls,
        LoopDetected,
    ),
    dependencies=[needs(Scope.TRIGGERS_FIRE, Scope.EVENTS_READ), UNLIMITED],
)
ACTION_EXAMPLES: dict[str, Example] = {
    "count deliveries to send again": {
        "value": {"action": "redeliver", "filter": {"status": ["exhausted"]}, "dry_run": True}
    },
    "cancel deliveries that wait for a destination": {
        "value": {"action": "cancel", "filter": {"destination_id": 1, "status": ["retrying"]}}
    },
}


@router.post(
    "/actions",
    summary="Act on many deliveries",
    operation_id="act_on_deliveries",
    response_model=ActionResult,
    dependencies=[EXPENSIVE, IDEMPOTENT],
)
async def act_on_deliveries(
    body: Annotated[DeliveryActions, Body(openapi_examples=ACTION_EXAMPLES)],
    principal: PrincipalDep,
    session: SessionDep,
    hops: HopsDep,
    settings: SettingsDep,
) -> Response:
    """Applies `redeliver` or `cancel` to up to 10,000 deliveries, in one transaction.

    They are given by `ids` or by `filter`. Those that cannot be changed are in `failed`, each with
    the problem of the single operation. Deliveries that are sent again leave at most 50 a second
    for each destination, so that those of new events are not held up. With `dry_run` the numbers
    are the same, and nothing is changed.
    """
    if body.action is DeliveryAction.REDELIVER:
        refuse_loop(hops)
    most_bytes, owner_id = settings.max_backlog_bytes, principal.one_project_id
    action = ManyDeliveriesAction(session, owner_id, hops, most_bytes)
    applied = await action.apply(body)
    result = await result_of(
        ids=body.ids, found=applied.found, changed=len(applied.changed), failed=applied.failed
    )
    return Response(result.model_dump_json(), media_type="application/json")
