"""Request and response models of the admin operations."""

from pydantic import ConfigDict, Field

from event_trigger.auth.schemas import Email, UserRead
from event_trigger.models import Role
from event_trigger.web.schemas import Instant, PatchModel, RequestModel, SecretText, WithSecret


class UserAdd(RequestModel):
    email: Email
    role: Role = Field(Role.USER, strict=False)


class UserWithLink(UserRead, WithSecret):
    url: SecretText = Field(
        description="The link, shown only once: give it to the person. It is null if this repeats"
        " an earlier answer (`Idempotency-Key`): then make another link.",
        examples=["https://events.example.com/auth/reset#q1Xz9k…"],
    )
    expires_at: Instant = Field(description="Until then, the link is good for one password.")


class UserUpdate(PatchModel):
    """Changes a user; absent or null fields stay as they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    role: Role | None = Field(None, strict=False, examples=["admin"])
    disabled: bool | None = Field(None, description="Ends the user's logins and keys at once.")
