"""Makes projects of several members in the database, and takes members away."""

from event_trigger.auth.memberships import Memberships
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.models import ProjectRole
from event_trigger.web.dependencies import state_of
from tests.support.services import Service


async def add_project(service: Service, owner: int, members: dict[int, str] | None = None) -> int:
    """Makes a project with these members and roles, and gives its id."""
    async with state_of(service.app).sessions.begin() as session:
        project = await Memberships(session).add("a team", owner=owner)
        for user_id, role in (members or {}).items():
            await Memberships(session).add_member(project.id, user_id, ProjectRole(role))
        await notify(session, CREDENTIALS_CHANGED, str(owner), *map(str, members or {}))
    return project.id


async def remove_member(service: Service, project_id: int, user_id: int) -> None:
    async with state_of(service.app).sessions.begin() as session:
        await Memberships(session).remove_member(project_id, user_id)
        await notify(session, CREDENTIALS_CHANGED, str(user_id))
