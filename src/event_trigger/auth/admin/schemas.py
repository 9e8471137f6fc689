"""Request models of the admin operations."""

from pydantic import Field

from event_trigger.models import Role
from event_trigger.web.schemas import RequestModel


class UserUpdate(RequestModel):
    """Changes a user; absent or null fields stay as they are."""

    role: Role | None = Field(None, strict=False, examples=["admin"])
    disabled: bool | None = Field(None, description="Ends the user's logins and keys at once.")
