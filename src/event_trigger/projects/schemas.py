"""Request and response models of projects, members and invitations."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, Field

from event_trigger.auth.schemas import Email, NewPassword
from event_trigger.models import Project, ProjectRole
from event_trigger.web.schemas import (
    Instant,
    PatchModel,
    RequestModel,
    ResponseModel,
    SecretText,
    Text,
    WithSecret,
)


def _shown(name: str) -> str:
    """Refuses a name that cannot be seen, or that changes how text around it is shown."""
    if any(unicodedata.category(one)[0] == "C" for one in name) or not name.strip():
        raise ValueError(
            "Write a name that can be seen, without control, invisible or bidirectional characters"
        )
    return name


ProjectName = Annotated[
    Text, Field(min_length=1, max_length=100, examples=["Billing"]), AfterValidator(_shown)
]
GivenRole = Annotated[
    ProjectRole,
    Field(
        strict=False,
        description="`viewer` reads; `operator` also fires, tests, pauses, resumes and sends again;"
        " `editor` also writes; `owner` also manages the project and its members.",
        examples=["editor"],
    ),
]
KnownEmail = Annotated[Text, Field(max_length=320, examples=["grace@example.com"])]


class ProjectCreate(RequestModel):
    name: ProjectName


class ProjectUpdate(PatchModel):
    """A JSON Merge Patch (RFC 7396): an absent field stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Billing"}]})

    name: ProjectName = ""


class ProjectRead(ResponseModel):
    id: int = Field(description="For `X-Project-ID`.")
    name: str
    role: ProjectRole = Field(description="Your role. An admin who is no member acts as an owner.")
    created_at: Instant


def read_project(project: Project, role: ProjectRole) -> ProjectRead:
    return ProjectRead(id=project.id, name=project.name, role=role, created_at=project.created_at)


class MemberAdd(RequestModel):
    email: KnownEmail
    role: GivenRole


class MemberUpdate(PatchModel):
    """A JSON Merge Patch (RFC 7396): an absent or null field stays."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    role: GivenRole | None = None


class MemberRead(ResponseModel):
    user_id: int
    email: str
    role: ProjectRole
    since: Instant


class InvitationCreate(RequestModel):
    role: GivenRole
    email: Annotated[
        Email | None, Field(description="Only this account can accept; by default, any can.")
    ] = None


class InvitationRead(ResponseModel):
    id: int
    role: ProjectRole
    email: str | None
    made_by: int = Field(description="The user's id.")
    created_at: Instant
    expires_at: Instant


class InvitationCreated(InvitationRead, WithSecret):
    url: SecretText = Field(
        description="The link, shown only once: give it to the person to invite, who sends it as"
        " `token` to `POST /invitations/accept`. It is null if this repeats an earlier answer"
        " (`Idempotency-Key`): then withdraw the invitation, and make another one.",
        examples=["https://events.example.com/invitations/accept#q1Xz9k…"],
    )
    mailed: bool = Field(description="The link is also mailed to `email`.")


class InvitationAccept(RequestModel):
    token: Annotated[
        Text,
        Field(
            max_length=1000,
            description="The link, or the part after `#`.",
            examples=["https://events.example.com/invitations/accept#q1Xz9k…"],
        ),
    ]
    email: Annotated[
        Email | None, Field(description="Without a login: the address of a new account.")
    ] = None
    password: Annotated[
        NewPassword | None, Field(description="Without a login: the new account's password.")
    ] = None
