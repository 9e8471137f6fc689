"""Request and response models of one's own account."""

from typing import Annotated

from pydantic import ConfigDict, Field

from event_trigger.auth.memberships import Membership
from event_trigger.auth.schemas import NewPassword, UserRead
from event_trigger.auth.scopes import Scope
from event_trigger.models import ProjectRole
from event_trigger.web.schemas import Instant, PatchModel, RequestModel, ResponseModel, RowId, Text


class ProjectOfCaller(ResponseModel):
    id: int
    name: str
    role: ProjectRole = Field(description="Yours; an admin is an owner everywhere.")


def read_membership(membership: Membership) -> ProjectOfCaller:
    project, role = membership
    return ProjectOfCaller(id=project.id, name=project.name, role=role)


class MeRead(UserRead):
    scopes: list[Scope] = Field(description="Held by this credential in this project.")
    expires_at: Instant | None = Field(
        description="When the access token or API key expires; null is never."
    )
    project: ProjectOfCaller | None = Field(
        description="The project that this call happens in; null for all (`X-Project-ID: *`)."
    )
    projects: list[ProjectOfCaller] = Field(
        description="All that you are a member of; for an API key, its own."
    )
    default_project_id: int = Field(
        description="The project of calls without `X-Project-ID`; for an API key, its own."
    )


class MeUpdate(PatchModel):
    """A JSON Merge Patch (RFC 7396): an absent field stays, null resets it."""

    model_config = ConfigDict(json_schema_extra={"examples": [{}]})

    default_project_id: RowId | None = Field(
        None,
        description="A project of yours, for calls without `X-Project-ID`; null is the one that"
        " you had from the start.",
    )


class PasswordChange(RequestModel):
    current: Annotated[
        Text,
        Field(
            max_length=1024,
            repr=False,
            examples=["correct horse battery staple"],
            json_schema_extra={"format": "password"},
        ),
    ]
    new: Annotated[
        NewPassword,
        Field(
            repr=False,
            examples=["eleven grey herons wading"],
            json_schema_extra={"format": "password"},
        ),
    ]
    end_keys: bool = Field(False, description="Ends all your API keys, too, in every project.")
