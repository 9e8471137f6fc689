"""Types of answers about schedules, and about the service itself."""

from typing import Any, Literal, TypedDict

from event_trigger_client.types.triggers import Details


class PlannedInstant(TypedDict):
    """An instant of a preview."""

    at: str
    local: str
    note: str | None


class Preview(TypedDict):
    """The next instants of a schedule."""

    words: str
    timezone: str
    zone_rules: str | None
    instants: list[PlannedInstant]
    total: int | None
    warnings: list[str]


class ScheduleInForce(TypedDict):
    """The schedule of an instant."""

    version: int
    words: str | None
    details: Details
    after: str
    until: str | None
    zone_rules: str | None


class Explanation(TypedDict):
    """Why there is, or is not, an event for an instant."""

    outcome: Literal[
        "fired", "pending", "missed", "coalesced", "paused", "not_scheduled", "excepted", "expired"
    ]
    reason: str
    scheduled_for: str | None
    event_id: int | None
    lag_ms: float | None
    schedule: ScheduleInForce | None


class Unfired(TypedDict):
    """An instant without an event."""

    version: int
    first: str
    last: str
    count: int
    reason: Literal["missed", "coalesced", "expired", "paused", "replaced", "deleted", "failed"]


class Difference(TypedDict):
    """An instant that the record does not explain."""

    kind: Literal[
        "unexplained", "repeated", "contradictory", "miscounted", "unplanned", "unreadable"
    ]
    first: str
    last: str
    count: int


class Account(TypedDict):
    """The planned instants of a span, and what became of them."""

    trigger_id: int
    since: str
    until: str
    planned: int
    fired: int
    pending: int
    unfired: dict[str, int]
    balanced: bool
    differences: list[Difference]
    ranges: list[Unfired]


class PastSchedule(TypedDict):
    """A schedule that a trigger had."""

    version: int
    details: Details
    words: str | None
    after: str
    until: str | None
    zone_rules: str | None
    ended_by: str | None


class TriggerChange(TypedDict):
    """A change of a trigger, and who made it."""

    at: str
    actor: Literal["login", "key", "operator", "anonymous"]
    user_id: int | None
    key_id: int | None
    action: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


class TriggerHistory(TypedDict):
    """The schedules of a trigger so far."""

    schedules: list[PastSchedule]
    changes: list[TriggerChange]


class HookRefusal(TypedDict):
    """Calls of a hook that were refused."""

    at: str
    count: int
    address: str | None
    method: str
    status: int
    reason: str


class UpcomingFiring(TypedDict):
    """An instant of a trigger."""

    at: str
    trigger_id: int
    trigger_key: str | None
    trigger_name: str | None


_UpcomingNames = TypedDict("_UpcomingNames", {"from": "str"}, total=True)


class Upcoming(_UpcomingNames):
    """The next instants of all triggers."""

    until: str
    firings: list[UpcomingFiring]
    step: Literal["PT1M", "PT5M", "PT1H", "P1D"] | None
    counts: list[int]
    truncated: bool
    complete_until: str


class Attention(TypedDict):
    """Something that somebody should look at."""

    kind: str
    severity: Literal["error", "warning", "unknown"]
    id: int | None
    name: str | None
    since: str | None
    count: int
    detail: str


class TriggersGlance(TypedDict):
    """Triggers by status."""

    active: int
    paused: int
    completed: int
    failing: int


class DueGlance(TypedDict):
    """The instants that are due, and how late they are."""

    late: int
    worst_lag_ms: float
    next_at: str | None


class EventsGlance(TypedDict):
    """The events of an hour and of a day."""

    last_hour: int
    last_day: int


class DeliveriesGlance(TypedDict):
    """Deliveries by status."""

    pending: int
    retrying: int
    exhausted: int
    oldest_pending_at: str | None


class DestinationsGlance(TypedDict):
    """Destinations by state."""

    closed: int
    open: int
    recovering: int
    disabled: int


class Overview(TypedDict):
    """The verdict of the overview, with its numbers."""

    verdict: Literal["ok", "attention", "unknown"]
    at: str | None
    triggers: TriggersGlance
    due: DueGlance
    events: EventsGlance
    unfired: dict[str, int]
    deliveries: DeliveriesGlance
    destinations: DestinationsGlance
    attention: list[Attention]


class Series(TypedDict):
    """A measure over time."""

    key: str
    values: list[float | int | None]


class Stats(TypedDict):
    """Measures over time."""

    start: str
    step: Literal["PT1M", "PT5M", "PT1H"]
    series: list[Series]


class Retention(TypedDict):
    """How long events are kept."""

    active_for: str
    keep_for: str


class Limit(TypedDict):
    """A limit of the project, and its use."""

    limit: int
    used: int | None


class Limits(TypedDict):
    """The limits of the project."""

    triggers: Limit
    destinations: Limit
    calendars: Limit
    calls_per_minute: Limit
    mails_per_minute: Limit
    backlog_bytes: Limit
    event_bytes: Limit


class Features(TypedDict):
    """The features that are set up."""

    open_registration: bool
    mail: bool
    read_replica: bool


class Info(TypedDict):
    """The version, the limits and the features of the service."""

    version: str
    installation: str
    zone_rules: str
    retention: Retention
    project_id: int | None
    limits: Limits
    features: Features
