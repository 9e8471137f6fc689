"""Creates and renames projects."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import Memberships
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.users import Users
from event_trigger.errors import Conflict, Unauthorized
from event_trigger.models import Project
from event_trigger.projects.access import lock_as_owner

MAX_OWNED = 100


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
