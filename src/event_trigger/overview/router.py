"""The HTTP operation that answers whether everything is all right."""

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.events.dependencies import RetentionDep
from event_trigger.overview.glance import take_glance
from event_trigger.overview.schemas import OverviewRead, read_overview
from event_trigger.web.dependencies import SessionDep
from event_trigger.web.problems import problems
from event_trigger.web.strict_json import strict_router

router = strict_router(
    tags=["overview"],
    responses=problems(Unauthorized, Forbidden, NotFound, Invalid),
    dependencies=[
        needs(Scope.TRIGGERS_READ, Scope.EVENTS_READ, Scope.DESTINATIONS_READ),
        UNLIMITED,
    ],
)


@router.get("/overview", summary="See whether everything is all right", operation_id="get_overview")
async def get_overview(
    principal: PrincipalDep, session: SessionDep, retention: RetentionDep
) -> OverviewRead:
    """Returns a verdict, the numbers behind it, and what needs attention.

    It reads kept counts, so it costs as little with a million triggers as with ten. `at` says how
    old they may be. It needs all three reading scopes, and a key that is not limited to some
    triggers.
    """
    return read_overview(await take_glance(session, principal, retention))
