"""Request and response models of users, logins and API keys."""

from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from event_trigger.auth.email_addresses import normalise_email
from event_trigger.auth.passwords.policy import (
    LONGEST_PASSWORD,
    SHORTEST_PASSWORD,
    check_new_password,
)
from event_trigger.auth.scopes import Scope
from event_trigger.models import ApiKey, Role
from event_trigger.web.schemas import (
    Instant,
    PatchModel,
    RequestModel,
    ResponseModel,
    RowId,
    SecretText,
    Text,
    WithSecret,
)

Email = Annotated[Text, AfterValidator(normalise_email), Field(examples=["ada@example.com"])]
NewPassword = Annotated[
    Text,
    Field(
        min_length=SHORTEST_PASSWORD,
        max_length=LONGEST_PASSWORD,
        examples=["correct horse battery staple"],
    ),
    AfterValidator(check_new_password),
]


class UserCreate(RequestModel):
    email: Email
    password: NewPassword


class UserRead(ResponseModel):
    id: int
    email: str
    role: Role
    disabled_at: Instant | None = Field(description="Since then, the user cannot sign in.")
    created_at: Instant


class RefreshRequest(RequestModel):
    refresh_token: Annotated[Text, Field(max_length=200, examples=["etr_…"])]


class TokenRead(ResponseModel):
    """An OAuth 2.0 token response (RFC 6749, section 5.1)."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the name of a scheme, not a secret
    expires_in: int = Field(description="Seconds until the access token expires.")
    refresh_token: str
    scope: str = Field(
        description="Those that the login holds in your default project, separated by spaces."
    )


def _each_once(values: list[int]) -> list[int]:
    return list(dict.fromkeys(values))


KeyName = Annotated[Text, Field(min_length=1, max_length=100, examples=["Deploy script"])]
KeyScopes = Annotated[
    list[Annotated[Scope, Field(strict=False)]],
    Field(min_length=1, max_length=len(Scope), examples=[["triggers:fire"]]),
]
KeyTriggers = Annotated[
    list[RowId],
    Field(min_length=1, max_length=1000),
    AfterValidator(_each_once),
]


class ApiKeyCreate(RequestModel):
    name: KeyName
    scopes: KeyScopes
    trigger_ids: KeyTriggers | None = Field(
        None,
        description="Limits the key to these triggers of the project; by default it works for all.",
    )
    expires_at: Instant | None = Field(
        default_factory=lambda: None,  # absent is not null, so OpenAPI must not name a default
        description="By default in 365 days; with null, the key never expires.",
        examples=["2030-01-01T00:00:00Z"],
    )


class ApiKeyUpdate(PatchModel):
    """A JSON Merge Patch (RFC 7396): absent fields stay, lists are replaced."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Deploy script"}]})

    name: KeyName = ""
    scopes: KeyScopes = Field(default_factory=list)
    trigger_ids: KeyTriggers | None = Field(
        None, description="With null, the key works for all triggers."
    )
    expires_at: Instant | None = Field(
        None,
        description="With null, the key never expires.",
        examples=["2030-01-01T00:00:00Z"],
    )


class ApiKeyRead(ResponseModel):
    id: int
    user_id: int
    project_id: int
    name: str
    prefix: str = Field(description="The first characters of the key.", examples=["etk_q1Xz9k"])
    scopes: list[str]
    trigger_ids: list[int] | None
    expires_at: Instant | None
    last_used_at: Instant | None = Field(description="To the minute.")
    created_at: Instant


def read_key(key: ApiKey) -> ApiKeyRead:
    """Shows a key; without a project, it works in its user's own."""
    columns = {name: getattr(key, name) for name in ApiKeyRead.model_fields}
    return ApiKeyRead(**columns | {"project_id": key.project_id or key.user_id})


class ApiKeyCreated(ApiKeyRead, WithSecret):
    key: SecretText = Field(
        description="Shown only once, so it is null if this repeats an earlier answer"
        " (`Idempotency-Key`): then end the key, and make another one.",
        examples=["etk_…"],
    )
