"""Types of answers about triggers and their details."""

from typing import Any, Literal, TypedDict


class NamedCalendar(TypedDict):
    """A calendar whose dates are left out."""

    calendar: str


class _HookDetailsSometimes(TypedDict, total=False):
    methods: list[Literal["GET", "POST", "PUT"]]
    headers: list[str]
    verify_token: str
    header: str
    algorithm: Literal["sha1", "sha256", "sha512"]
    encoding: Literal["hex", "base64"]
    prefix: str
    signs: str
    timestamp_header: str
    id_header: str
    username: str


class HookDetails(_HookDetailsSometimes):
    """How the calls of a hook are signed."""

    verify: str


_DetailsNames = TypedDict(
    "_DetailsNames", {"from": "str", "except": "list[NamedCalendar | str]"}, total=False
)


class Details(_DetailsNames, total=False):
    """When a trigger fires, as it was given."""

    schema: dict[str, Any]
    time: str
    interval: float | str
    recurring: bool
    month_end: Literal["last", "skip"]
    cron: list[str] | str
    rrule: str
    timezone: str
    until: str
    max_fires: int
    spread: str
    catch_up: Literal["latest", "all", "none"]
    catch_up_window: float
    hook: HookDetails
    grace: str


class HeartbeatState(TypedDict):
    """The state of a job that pings."""

    status: Literal["waiting", "alive", "late", "silent", "paused"]
    last_ping_at: str | None
    expected_at: str | None
    silent_since: str | None
    started_at: str | None


class _TriggerSometimes(TypedDict, total=False):
    payload: dict[str, Any] | None
    heartbeat: HeartbeatState
    hook_secret: str | None


class Trigger(_TriggerSometimes):
    """A trigger; a list with `view="summary"` has no `payload`."""

    id: int
    key: str | None
    name: str | None
    type: Literal["heartbeat", "api", "scheduled"]
    details: Details
    status: Literal["active", "paused", "completed"]
    next_fire_at: str | None
    last_fired_at: str | None
    fire_count: int
    tags: list[str]
    destinations: list[int]
    on_completion: Literal["keep", "delete"]
    set_name: str | None
    error: str | None
    created_at: str
    updated_at: str
    words: str | None
    hook_url: str | None
    warnings: list[str]
