"""Tells callers who they are, and what they may do where."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.account.schemas import MeRead, read_membership
from event_trigger.auth.memberships import Membership, Memberships
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.api_keys import ApiKeys, VisibleKeys
from event_trigger.auth.repository.users import Users
from event_trigger.auth.schemas import UserRead
from event_trigger.errors import NotFound, Unauthorized
from event_trigger.models import User


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
