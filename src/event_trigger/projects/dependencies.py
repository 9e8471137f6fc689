"""Checks the caller of a project's operations before the body is validated."""

from fastapi import Depends

from event_trigger.auth.dependencies import PrincipalDep
from event_trigger.projects.lifecycle import FullLoginRequired, check_owner, role_in
from event_trigger.web.dependencies import SessionsDep
from event_trigger.web.schemas import PathId


async def check_full_login(principal: PrincipalDep) -> None:
    """Raises FullLoginRequired for API keys and for logins that were narrowed to some scopes."""
    if principal.is_narrowed:
        raise FullLoginRequired


async def check_is_member(
    project_id: PathId, principal: PrincipalDep, sessions: SessionsDep
) -> None:
    async with sessions() as session:
        await role_in(session, principal, project_id)


async def check_is_owner(
    project_id: PathId, principal: PrincipalDep, sessions: SessionsDep
) -> None:
    async with sessions() as session:
        await check_owner(session, principal, project_id)


FULL_LOGIN = Depends(check_full_login)
MEMBER = Depends(check_is_member)
OWNER = Depends(check_is_owner)
