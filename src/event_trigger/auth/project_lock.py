"""Locks a project while something is created in it, so that limits are exact."""

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.memberships import Memberships
from event_trigger.errors import NotFound


async def lock_project(session: AsyncSession, project_id: int) -> None:
    """Locks a project until the commit; raises NotFound if it has just been deleted.

    Of two creations, the second waits, and counts what the first has created. Lock the project
    before its other rows, as its deletion does, but late: nothing that takes long may come between
    this and the commit.
    """
    if await Memberships(session).get_project_locked(project_id) is None:
        raise NotFound
