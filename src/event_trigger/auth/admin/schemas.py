"""Request models of the admin operations."""

from pydantic import ConfigDict, Field

from event_trigger.models import Role
from event_trigger.web.schemas import PatchModel


class UserUpdate(PatchModel):
    """Changes a user; absent or null fields stay as they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    role: Role | None = Field(None, strict=False, examples=["admin"])
    disabled: bool | None = Field(None, description="Ends the user's logins and keys at once.")
