"""What accounts and the audit log look like to admins."""

from pydantic import Field

from event_trigger.models import Role
from event_trigger.web.schemas import RequestModel


class UserUpdate(RequestModel):
    """What is absent or null stays."""

    role: Role | None = Field(None, strict=False, examples=["admin"])
    disabled: bool | None = Field(None, description="Ends the user's logins and keys at once.")
