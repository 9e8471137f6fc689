"""The HTTP operation that answers whether everything is all right."""

from datetime import timedelta

from event_trigger.auth.dependencies import UNLIMITED, PrincipalDep, needs
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, Invalid, NotFound, Unauthorized
from event_trigger.events.dependencies import RetentionDep
from event_trigger.models import UnfiredReason
from event_trigger.overview.census import CountedState
from event_trigger.overview.glance import Glance, take_glance
from event_trigger.overview.schemas import (
    AttentionRead,
    DeliveriesGlance,
    DestinationsGlance,
    DueGlance,
    EventsGlance,
    OverviewRead,
    TriggersGlance,
)
from event_trigger.overview.verdict import judge
from event_trigger.web.problems import problems
from event_trigger.web.session import SessionDep
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
    return _shown(await take_glance(session, principal, retention))


def _shown(glance: Glance) -> OverviewRead:
    counts = glance.counts
    triggers = ("active", "paused", "completed", "failing")
    deliveries = ("pending", "retrying", "exhausted")
    destinations = ("closed", "open", "recovering", "disabled")

    def numbers(*names: str) -> dict[str, int]:
        return {name: glance.number(CountedState(name)) for name in names}

    return OverviewRead(
        verdict=judge(glance.attention),
        at=glance.counted_at,
        triggers=TriggersGlance(**numbers(*triggers)),
        due=DueGlance(late=glance.due.late, worst_lag_ms=_lag_ms(glance), next_at=glance.next_at),
        events=EventsGlance(last_hour=counts.last_hour, last_day=counts.last_day),
        unfired={
            one: kept.number if (kept := counts.unfired.get(one)) else 0 for one in UnfiredReason
        },
        deliveries=DeliveriesGlance(
            **numbers(*deliveries), oldest_pending_at=glance.oldest_pending_at
        ),
        destinations=DestinationsGlance(**numbers(*destinations)),
        attention=[AttentionRead.model_validate(one) for one in glance.attention],
    )


def _lag_ms(glance: Glance) -> float:
    if glance.due.oldest_at is None:
        return 0.0
    return max(0.0, (glance.now - glance.due.oldest_at) / timedelta(milliseconds=1))
