"""Tells callers who they are, and what they may do where; models of one's own account."""

from typing import Annotated

from pydantic import ConfigDict, Field
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import Membership, Memberships
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.api_keys import ApiKeys, VisibleKeys
from event_trigger.auth.repository.users import Users
from event_trigger.auth.schemas import NewPassword, UserRead
from event_trigger.auth.scopes import Scope
from event_trigger.errors import NotFound, Unauthorized
from event_trigger.models import ProjectRole, User
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


async def read_me(session: AsyncSession, caller: Principal) -> MeRead:
    """Shows the caller's user, rights and projects; a key knows only the project it belongs to."""
    user = await Users(session).get_one(caller.user_id)
    known = await Memberships(session).list_of(user.id)
    default_id = await _default_of(session, caller, user)
    if caller.key_id is not None:
        known = [one for one in known if one.project.id == default_id]
    project = await _project_of(session, caller)
    return MeRead(
        **UserRead.model_validate(user).model_dump(),
        scopes=sorted(caller.scopes),
        expires_at=caller.expires_at,
        project=None if project is None else read_membership(project),
        projects=[read_membership(one) for one in known],
        default_project_id=default_id,
    )


async def _default_of(session: AsyncSession, caller: Principal, user: User) -> int:
    """Returns the project of calls that name none: a key's own, or the one that a user chose."""
    if caller.key_id is None:
        return (await Memberships(session).get_default(user))[0]
    key = await ApiKeys(session).get(VisibleKeys(None, user.id, None), caller.key_id)
    if key is None:
        raise Unauthorized
    return key.project_id or user.id


async def _project_of(session: AsyncSession, caller: Principal) -> Membership | None:
    """Returns the project that a call happens in, or None for all."""
    if caller.project_id is None:
        return None
    project = await Memberships(session).get_project(caller.project_id)
    if project is None:
        raise NotFound
    return Membership(project, caller.project_role)
