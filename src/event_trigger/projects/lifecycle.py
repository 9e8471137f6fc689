"""Creates and renames projects, and decides who may see and manage them."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import Memberships
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.users import Users
from event_trigger.auth.scopes import Scope
from event_trigger.errors import Conflict, Forbidden, NotFound, Unauthorized
from event_trigger.models import Project, ProjectRole

MAX_OWNED = 100


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


class TooManyProjects(Conflict):
    slug, title = "too-many-projects", "Too many projects"
    default_detail = (
        f"You own {MAX_OWNED} projects, the most that one user may make. Delete one, or leave one"
        " that has other owners."
    )


async def create(session: AsyncSession, principal: Principal, name: str) -> Project:
    """Creates a project that the caller owns; raises TooManyProjects."""
    memberships = Memberships(session)
    if await Users(session).get_locked(principal.user_id) is None:  # parallel calls count, too
        raise Unauthorized
    if await memberships.count_owned_by(principal.user_id) >= MAX_OWNED:
        raise TooManyProjects
    return await memberships.add(name, owner=principal.user_id)


async def rename(
    session: AsyncSession, principal: Principal, project_id: int, name: str | None
) -> Project:
    """Gives a project another name; None leaves it as it is."""
    project = await lock_as_owner(session, principal, project_id)
    project.name = name or project.name
    await session.flush()
    return project
