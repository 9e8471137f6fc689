"""Types of answers about events, destinations and deliveries."""

from typing import Any, Literal, TypedDict


class DeliveryCounts(TypedDict):
    """The deliveries of an event, by status."""

    pending: int
    retrying: int
    delivered: int
    exhausted: int


class _SourceSometimes(TypedDict, total=False):
    user_id: int | None
    key_id: int | None
    address: str | None
    method: str | None
    query: str | None
    headers: dict[str, str] | None


class Source(_SourceSometimes):
    """The caller or the rule that made an event."""

    kind: Literal["schedule", "login", "api_key", "hook", "replay"]


class _EventSometimes(TypedDict, total=False):
    payload: dict[str, Any] | None
    deliveries: DeliveryCounts | None


class Event(_EventSometimes):
    """An event; a list with `view="summary"` has no `payload`."""

    id: int
    trigger_id: int
    type: Literal["scheduled", "api", "heartbeat"]
    triggered_at: str
    scheduled_for: str | None
    is_test: bool
    state: Literal["active", "archived"]
    replay_of: int | None
    trigger_key: str | None
    trigger_name: str | None
    source: Source | None


class TriggerCount(TypedDict):
    """The number of events of a trigger."""

    trigger_id: int
    count: int


class ClientCertificate(TypedDict):
    """A certificate that receivers may ask for."""

    subject: str
    expires_at: str
    fingerprints: list[str]


class _DestinationSometimes(TypedDict, total=False):
    warnings: list[str]
    secret: str | None


class Destination(_DestinationSometimes):
    """A destination; its `secret` is in the answers that make one."""

    id: int
    key: str | None
    url: str
    format: Literal["cloudevents", "cloudevents_binary", "payload", "template"]
    method: Literal["POST", "PUT", "PATCH", "GET", "DELETE"]
    template: str | None
    content_type: str | None
    subject: str | None
    description: str | None
    headers: dict[str, str]
    client_certificate: ClientCertificate | None
    timeout: float
    rate_limit: float | None
    max_concurrency: int
    notices: list[str]
    all_projects: bool
    status: Literal["enabled", "disabled"]
    disabled_reason: Literal["by_hand", "gone"] | None
    state: Literal["closed", "open", "recovering"]
    failures: int
    held_until: str | None
    created_at: str
    updated_at: str


class _SecretSometimes(TypedDict, total=False):
    warnings: list[str]


class Secret(_SecretSometimes):
    """The secret that signs deliveries."""

    secret: str | None
    previous_secret_until: str | None


class _AttemptSometimes(TypedDict, total=False):
    number: int


class Attempt(_AttemptSometimes):
    """One request of a delivery, and what became of it."""

    attempted_at: str
    duration_ms: float | None
    status_code: int | None
    error: str | None
    response: str | None
    reason: str | None
    location: str | None


class _DeliverySometimes(TypedDict, total=False):
    attempts: list[Attempt]


class Delivery(_DeliverySometimes):
    """An event or a notice on its way; by its id, with its `attempts`."""

    id: int
    event_id: int | None
    trigger_id: int | None
    notice_id: int | None
    destination_id: int
    status: Literal["pending", "retrying", "delivered", "exhausted"]
    attempt_count: int
    next_attempt_at: str | None
    error: str | None
    queued_at: str
    finished_at: str | None


class Redelivered(TypedDict):
    """The number of deliveries that are sent again."""

    count: int
