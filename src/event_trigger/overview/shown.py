"""Makes the answer of `GET /overview` from a glance."""

from datetime import timedelta

from event_trigger.models import UnfiredReason
from event_trigger.overview.census import CountedState
from event_trigger.overview.glance import Glance
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


def shown(glance: Glance) -> OverviewRead:
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
