"""Triggers as they are answered: read alone, in lists, and after a change."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import TypeAliasType

from event_trigger.models import OnCompletion, TriggerStatus, TriggerType
from event_trigger.triggers.schedule.heartbeat import HeartbeatStatus
from event_trigger.triggers.schemas.details import (
    ApiDetailsRead,
    HeartbeatDetailsRead,
    ScheduledDetailsRead,
)
from event_trigger.web.schemas import DescribedAs, Instant, JsonObject, ResponseModel, SecretText


def _stored_or_keep(value: object) -> object:
    return OnCompletion.KEEP if value is None else value


class StoredTrigger(ResponseModel):
    id: int
    key: str | None
    name: str | None
    type: TriggerType
    details: JsonObject
    payload: JsonObject | None
    status: TriggerStatus
    next_fire_at: Instant | None
    last_fired_at: Instant | None
    fire_count: int = Field(description="All firings except tests.")
    tags: list[str]
    destinations: list[int]
    on_completion: Annotated[OnCompletion, BeforeValidator(_stored_or_keep)]
    set_name: str | None = Field(
        description="The set that owns the trigger: its file is applied over any other change."
    )
    error: str | None = Field(
        description="Why the trigger was set aside, and does not fire; else null."
    )
    created_at: Instant
    updated_at: Instant


class _AnyTrigger(StoredTrigger):
    words: str | None = Field(
        description="The schedule in words; null for one that this version of the service cannot"
        " read.",
        examples=["At 09:00 on Monday to Friday, Europe/Berlin"],
    )
    hook_url: SecretText = Field(
        description="The URL of its hook; shown to callers with the scope `triggers:fire`."
    )
    warnings: list[str] = Field(examples=[[]])


class _Scheduled(ResponseModel):
    type: Literal[TriggerType.SCHEDULED]
    details: Annotated[JsonObject, DescribedAs(ScheduledDetailsRead)]


class _Called(ResponseModel):
    type: Literal[TriggerType.API]
    details: Annotated[JsonObject, DescribedAs(ApiDetailsRead)]


class HeartbeatRead(ResponseModel):
    """The present state of a heartbeat."""

    status: HeartbeatStatus = Field(
        description="`waiting` for its first ping; `late` is past its time and within its grace;"
        " `paused` while the trigger is."
    )
    last_ping_at: Instant | None = Field(
        description="The last ping of success or failure; null if none has come yet."
    )
    expected_at: Instant | None = Field(
        description="When the next ping is expected. With `details.grace` added it is the"
        " deadline, `next_fire_at`."
    )
    silent_since: Instant | None = Field(description="When it became silent; null if it is not.")
    started_at: Instant | None = Field(
        description="The last ping of `/start`, if no other ping has followed."
    )


class _Heartbeat(ResponseModel):
    type: Literal[TriggerType.HEARTBEAT]
    details: Annotated[JsonObject, DescribedAs(HeartbeatDetailsRead)]
    heartbeat: HeartbeatRead


class ScheduledTriggerRead(_Scheduled, _AnyTrigger):
    """A trigger that fires by its schedule."""


class ApiTriggerRead(_Called, _AnyTrigger):
    """A trigger that fires when it is called."""


class HeartbeatTriggerRead(_Heartbeat, _AnyTrigger):
    """A trigger that fires when an expected ping does not come."""


class _AnyTriggerListed(_AnyTrigger):
    may_lack = ("payload",)

    payload: JsonObject | None = Field(None, description="Absent with `view=summary`.")


class ScheduledTriggerListed(_Scheduled, _AnyTriggerListed):
    """A trigger that fires by its schedule, as lists show it."""


class ApiTriggerListed(_Called, _AnyTriggerListed):
    """A trigger that fires when it is called, as lists show it."""


class HeartbeatTriggerListed(_Heartbeat, _AnyTriggerListed):
    """A trigger that fires when an expected ping does not come, as lists show it."""


class AnyTriggerWritten(_AnyTrigger):
    hook_secret: SecretText = Field(
        description="Signs the calls of a new hook; null if it was given. It is shown only once, so"
        " it is null if this repeats an earlier answer (`Idempotency-Key`), and so is `hook_url`."
    )


class ScheduledTriggerWritten(ScheduledTriggerRead, AnyTriggerWritten):
    """A trigger that fires by its schedule, as it was saved."""


class ApiTriggerWritten(ApiTriggerRead, AnyTriggerWritten):
    """A trigger that fires when it is called, as it was saved."""


class HeartbeatTriggerWritten(HeartbeatTriggerRead, AnyTriggerWritten):
    """A trigger that fires when an expected ping does not come, as it was saved."""


TriggerRead = TypeAliasType(
    "TriggerRead",
    Annotated[
        ScheduledTriggerRead | ApiTriggerRead | HeartbeatTriggerRead, Field(discriminator="type")
    ],
)
TriggerListed = TypeAliasType(
    "TriggerListed",
    Annotated[
        ScheduledTriggerListed | ApiTriggerListed | HeartbeatTriggerListed,
        Field(discriminator="type"),
    ],
)
TriggerWritten = TypeAliasType(
    "TriggerWritten",
    Annotated[
        ScheduledTriggerWritten | ApiTriggerWritten | HeartbeatTriggerWritten,
        Field(discriminator="type"),
    ],
)
