"""Triggers as they are answered: read alone, in lists, and after a change."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field
from typing_extensions import TypeAliasType

from event_trigger.models import OnCompletion, TriggerStatus, TriggerType
from event_trigger.triggers.schemas.details import ApiDetailsRead, ScheduledDetailsRead
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


class ScheduledTriggerRead(_Scheduled, _AnyTrigger):
    """A trigger that fires by its schedule."""


class ApiTriggerRead(_Called, _AnyTrigger):
    """A trigger that fires when it is called."""


class _AnyTriggerListed(_AnyTrigger):
    may_lack = ("payload",)

    payload: JsonObject | None = Field(None, description="Absent with `view=summary`.")


class ScheduledTriggerListed(_Scheduled, _AnyTriggerListed):
    """A trigger that fires by its schedule, as lists show it."""


class ApiTriggerListed(_Called, _AnyTriggerListed):
    """A trigger that fires when it is called, as lists show it."""


class AnyTriggerWritten(_AnyTrigger):
    hook_secret: SecretText = Field(
        description="Signs the calls of a new hook; null if it was given. It is shown only once, so"
        " it is null if this repeats an earlier answer (`Idempotency-Key`), and so is `hook_url`."
    )


class ScheduledTriggerWritten(ScheduledTriggerRead, AnyTriggerWritten):
    """A trigger that fires by its schedule, as it was saved."""


class ApiTriggerWritten(ApiTriggerRead, AnyTriggerWritten):
    """A trigger that fires when it is called, as it was saved."""


TriggerRead = TypeAliasType(
    "TriggerRead", Annotated[ScheduledTriggerRead | ApiTriggerRead, Field(discriminator="type")]
)
TriggerListed = TypeAliasType(
    "TriggerListed",
    Annotated[ScheduledTriggerListed | ApiTriggerListed, Field(discriminator="type")],
)
TriggerWritten = TypeAliasType(
    "TriggerWritten",
    Annotated[ScheduledTriggerWritten | ApiTriggerWritten, Field(discriminator="type")],
)
