"""What accounts and the audit log look like to admins."""

from typing import Any

from pydantic import Field

from event_trigger.models import ActorKind, Role
from event_trigger.web.schemas import Instant, RequestModel, ResponseModel


class UserUpdate(RequestModel):
    """What is absent or null stays."""

    role: Role | None = Field(None, strict=False, examples=["admin"])
    disabled: bool | None = Field(None, description="Ends the user's logins and keys at once.")


class AuditRead(ResponseModel):
    id: int
    at: Instant
    actor: ActorKind = Field(description="How it was known who it was.")
    user_id: int | None
    key_id: int | None
    address: str | None
    request_id: str | None
    action: str = Field(description="The operation's id, or the operator's command.")
    target: str | None = Field(examples=["trigger"])
    target_id: int | None
    refused: bool
    before: dict[str, Any] | None = Field(description="What differs, as it was.")
    after: dict[str, Any] | None = Field(description="As it is now; secrets are not shown.")
