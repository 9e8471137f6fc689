"""Response models of `GET /overview`."""

from datetime import timedelta

from pydantic import Field

from event_trigger.models import UnfiredReason
from event_trigger.overview.census import CountedState
from event_trigger.overview.glance import Glance
from event_trigger.overview.verdict import Cause, Severity, Verdict, judge
from event_trigger.web.schemas import Instant, ResponseModel


class TriggersGlance(ResponseModel):
    active: int
    paused: int
    completed: int
    failing: int = Field(
        description="Triggers with an `error`: they could not fire, and were set aside. Each is"
        " also counted by its status."
    )


class DueGlance(ResponseModel):
    late: int = Field(description="Triggers that are due for more than 5 s; 10,000 at most.")
    worst_lag_ms: float = Field(
        description="How long the first due trigger has been due, in milliseconds; 0 if none is."
    )
    next_at: Instant | None = Field(
        description="The next instant of all triggers; null if there is none. Of a project with"
        " more than 2,000 active triggers it is null, too, if the next 10,000 instants of its shard"
        " are all of other projects."
    )


class EventsGlance(ResponseModel):
    last_hour: int = Field(description="Since the start of the minute one hour ago.")
    last_day: int = Field(description="Since the start of the minute 24 hours ago.")


class DeliveriesGlance(ResponseModel):
    pending: int
    retrying: int
    exhausted: int = Field(description="All that are kept, as `GET /deliveries` lists them.")
    oldest_pending_at: Instant | None = Field(
        description="When the oldest delivery that is pending or retrying was queued."
    )


class DestinationsGlance(ResponseModel):
    """Each destination once: a disabled one as `disabled`, others by their circuit breaker."""

    closed: int
    open: int
    recovering: int
    disabled: int


class AttentionRead(ResponseModel):
    kind: Cause
    severity: Severity
    id: int | None = Field(
        description="The trigger, the destination or the key; of several triggers with the same"
        " error, the newest. Null if the cause has none."
    )
    name: str | None = Field(description="Its name or key.", examples=["Nightly report"])
    since: Instant | None
    count: int = Field(
        description="How many triggers, instants, deliveries or keys; of triggers with one error"
        " and of deliveries, 1,000 stands for that or more."
    )
    detail: str = Field(description="The cause in words.")


class OverviewRead(ResponseModel):
    verdict: Verdict = Field(
        description="`ok`: all that was due has fired, nothing failed in the last 24 hours, every"
        " destination works, and no key expires within 7 days. `attention`: `attention` says what"
        " is wrong. `unknown`: nothing is known to be wrong, but the counts are too old to tell."
    )
    at: Instant | None = Field(
        description="All that was stored before this instant is counted; usually a few seconds"
        " ago. `due` is as of now. Null before the first count."
    )
    triggers: TriggersGlance
    due: DueGlance
    events: EventsGlance
    unfired: dict[UnfiredReason, int] = Field(
        description="Instants that were recorded in the last 24 hours as not fired, by reason."
    )
    deliveries: DeliveriesGlance
    destinations: DestinationsGlance
    attention: list[AttentionRead] = Field(
        description="Problems to look at, one for each cause, most severe first; at most 20."
    )


def read_overview(glance: Glance) -> OverviewRead:
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
