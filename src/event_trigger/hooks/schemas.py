"""Bodies of requests about hooks."""

from pydantic import ConfigDict, Field

from event_trigger.triggers.schemas.hook_details import GivenSecret
from event_trigger.web.schemas import RequestModel


class HookRotation(RequestModel):
    """How a hook's secret is replaced; without a body, by a new one, under a new URL."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"keep_old": True}]})

    keep_old: bool = Field(
        False,
        description="Calls that are signed with the old secret count for 24 hours more. The URL"
        " stays, so that the sender can be changed at leisure.",
    )
    secret: GivenSecret | None = Field(
        None, description="The new secret, if the sender issues it. Left out, one is made."
    )
