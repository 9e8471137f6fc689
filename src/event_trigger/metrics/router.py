"""The HTTP operation that Prometheus scrapes."""

from fastapi import Request, Response

from event_trigger.auth.dependencies import needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Unauthorized
from event_trigger.metrics.exposition import MEDIA_TYPE
from event_trigger.web.dependencies import app_state
from event_trigger.web.openapi.invalid_examples import of_unknown_parameter
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(tags=["service"])


@router.get(
    "/metrics",
    summary="Get metrics for Prometheus",
    operation_id="get_metrics",
    dependencies=[needs(Scope.METRICS_READ)],
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(Unauthorized, Forbidden, of_unknown_parameter()),
    },
)
async def get_metrics(request: Request) -> Response:
    """Returns the numbers of the whole installation in Prometheus's text format.

    They are of all projects, so only admins hold `metrics:read`; a key of theirs may hold it alone.
    With `EVENT_TRIGGER_METRICS_PORT` a port of its own answers without a login.
    """
    return Response(await app_state(request).metrics.text(), media_type=MEDIA_TYPE)
