"""Locks a project while something is created in it, so that limits are exact.

Every transaction takes its locks in this order, or two of them would wait for each other:

1. projects, by id;
2. users, the admins first;
3. what a user holds: API keys, refresh tokens, logins;
4. counts of failures.

Who needs none of an earlier kind starts later; nobody goes back.
"""

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
