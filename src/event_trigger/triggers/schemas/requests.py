"""Bodies that create, replace and change triggers."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator, ConfigDict, Field
from typing_extensions import TypeAliasType

from event_trigger.models import OnCompletion
from event_trigger.triggers.schemas.details import ApiDetails, HeartbeatDetails, ScheduledDetails
from event_trigger.triggers.schemas.fields import (
    NEVER_COMPLETES,
    DestinationNames,
    Name,
    OnCompletionText,
    Payload,
    Tags,
)
from event_trigger.triggers.schemas.responses import HeartbeatTriggerWritten
from event_trigger.web.keys import Key
from event_trigger.web.schemas import JsonObject, PatchModel, RequestModel
from event_trigger.web.sent_back import SentBack


def _refuse_deletion(value: object) -> object:
    if value == OnCompletion.DELETE:
        raise ValueError(NEVER_COMPLETES)
    return value


class _TriggerBase(RequestModel):
    key: Key | None = None
    name: Name | None = None
    payload: Payload | None = None
    tags: Tags = Field(default_factory=list)
    destinations: DestinationNames = Field(default_factory=list)


class ScheduledTriggerCreate(_TriggerBase):
    type: Literal["scheduled"]
    details: ScheduledDetails
    on_completion: OnCompletionText | None = None


_NeverCompletes = Annotated[
    Literal["keep"] | None,
    BeforeValidator(_refuse_deletion),
    Field(description="It never completes."),
]


class ApiTriggerCreate(_TriggerBase):
    type: Literal["api"]
    details: ApiDetails = Field(default_factory=ApiDetails)
    on_completion: _NeverCompletes = None


class HeartbeatTriggerCreate(_TriggerBase):
    type: Literal["heartbeat"]
    details: HeartbeatDetails
    on_completion: _NeverCompletes = None


TriggerBody = ScheduledTriggerCreate | ApiTriggerCreate | HeartbeatTriggerCreate
# all unions by `type` have a name, so that they are one schema of the document
TriggerCreate = TypeAliasType("TriggerCreate", Annotated[TriggerBody, Field(discriminator="type")])


class _SentBack(SentBack):
    answer: ClassVar = HeartbeatTriggerWritten  # it has the most fields
    instead: ClassVar[Mapping[str, str]] = {
        "status": "Use POST /triggers/{id}/pause and /resume.",
        "type": "A trigger keeps its type: delete it, and create another one.",
        "hook_secret": "Leave it out. POST /triggers/{id}/hook/rotate makes another one.",
        "hook_url": "Leave it out. POST /triggers/{id}/hook/rotate makes another one.",
    }


class ScheduledTriggerReplace(_SentBack, ScheduledTriggerCreate):
    """A whole trigger: absent fields mean their default, but the status stays."""


class ApiTriggerReplace(_SentBack, ApiTriggerCreate):
    """A whole trigger: absent fields mean their default, but the status stays."""


class HeartbeatTriggerReplace(_SentBack, HeartbeatTriggerCreate):
    """A whole trigger: absent fields mean their default, but the status stays."""


TriggerReplaceBody = ScheduledTriggerReplace | ApiTriggerReplace | HeartbeatTriggerReplace
TriggerReplace = TypeAliasType(
    "TriggerReplace", Annotated[TriggerReplaceBody, Field(discriminator="type")]
)


class TriggerUpdate(_SentBack, PatchModel):
    """A JSON Merge Patch (RFC 7396): absent fields stay, null removes one, objects are merged."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Nightly report"}]})

    key: Key | None = None
    name: Name | None = None
    payload: JsonObject | None = None
    tags: Tags | None = None
    destinations: DestinationNames | None = None
    on_completion: OnCompletionText | None = None
    details: JsonObject = Field(default_factory=dict, examples=[{"interval": 15}])
