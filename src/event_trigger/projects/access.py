"""Decides who may see a project, and who may manage it."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import Memberships
from event_trigger.auth.principal import Principal
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Forbidden, NotFound
from event_trigger.models import Project, ProjectRole


class FullLoginRequired(Forbidden):
    slug, title = "full-login-required", "A full login is required"
    default_detail = (
        "Sign in for this without naming scopes: API keys and narrowed logins cannot manage"
        " projects and their members."
    )


class OwnerRequired(Forbidden):
    slug, title = "owner-required", "The role owner is required"

    def __init__(self, role: ProjectRole = ProjectRole.VIEWER) -> None:
        super().__init__(
            f"This needs the role owner in the project, and yours is {role}. Ask one of its owners."
        )


async def role_in(session: AsyncSession, principal: Principal, project_id: int) -> ProjectRole:
    """Returns the caller's role in a project; an admin who is no member acts as an owner.

    A key is good for its own project only. Raises NotFound.
    """
    memberships = Memberships(session)
    is_elsewhere = principal.key_id is not None and principal.project_id != project_id
    role = None if is_elsewhere else await memberships.role_in(project_id, principal.user_id)
    is_admin = Scope.ADMIN in principal.scopes
    if role is None and is_admin and await memberships.has_project(project_id):
        role = ProjectRole.OWNER
    if role is None:
        raise NotFound
    return role


async def check_owner(session: AsyncSession, principal: Principal, project_id: int) -> None:
    """Raises NotFound, or OwnerRequired for a member with another role."""
    role = await role_in(session, principal, project_id)
    if role is not ProjectRole.OWNER:
        raise OwnerRequired(role)


async def lock_as_owner(session: AsyncSession, principal: Principal, project_id: int) -> Project:
    """Locks a project, and then checks that the caller still is an owner.

    Of two owners who demote each other at once, the second one is refused.
    """
    project = await lock(session, project_id)
    await check_owner(session, principal, project_id)
    return project


async def lock(session: AsyncSession, project_id: int) -> Project:
    """Locks a project before its members or invitations change; raises NotFound."""
    project = await Memberships(session).get_project_locked(project_id)
    if project is None:
        raise NotFound
    return project
