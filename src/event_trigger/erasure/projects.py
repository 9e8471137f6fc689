"""Deletes projects: from the commit on nothing of them fires, is delivered, listed or called."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.principal import Principal
from event_trigger.db.notify import (
    CREDENTIALS_CHANGED,
    EVENTS_STORED,
    PROJECTS_DELETED,
    notify,
)
from event_trigger.erasure.repository import EndedProject
from event_trigger.errors import Conflict
from event_trigger.projects.lifecycle import lock_as_owner
from event_trigger.projects.members.lifecycle import OwnProject

_GOES_WITH_ACCOUNT = (
    "A user's own project is as old as the account, and goes with it. To delete both, erase the"
    " account: DELETE /auth/me for your own, DELETE /users/{id} for an admin."
)


class HasTriggers(Conflict):
    slug, title = "project-has-triggers", "The project has triggers"

    def __init__(self, count: int = 1) -> None:
        super().__init__(
            f"This project still has {count} trigger(s). Delete them first, or add ?purge=true to"
            " delete the project with all that is in it: triggers, events, destinations and keys."
        )


@dataclass(frozen=True, slots=True)
class ProjectContents:
    """The numbers of what stopped, or would stop, with a project."""

    triggers: int
    destinations: int


async def delete_project(
    session: AsyncSession, project_id: int, *, by: Principal, purge: bool
) -> ProjectContents:
    """Deletes a project for one of its owners, or for an admin.

    Raises NotFound for everybody who is no member, OwnerRequired, OwnProject, or HasTriggers.
    """
    await lock_as_owner(session, by, project_id)
    project = EndedProject(session, project_id)
    if await project.is_of_a_user():
        raise OwnProject(_GOES_WITH_ACCOUNT)
    if not purge and (count := await project.count_triggers()):
        raise HasTriggers(count)
    contents = await end_project(session, project_id)
    await record(
        session,
        "project",
        project_id,
        after={"deleted": True, "triggers": contents.triggers},
        project_id=project_id,
    )
    return contents


async def count_contents(session: AsyncSession, project_id: int) -> ProjectContents:
    project = EndedProject(session, project_id)
    return ProjectContents(
        await project.count_triggers(),
        await project.count_destinations(),
    )


async def end_project(
    session: AsyncSession, project_id: int, *, erased_emails: Sequence[str] | None = None
) -> ProjectContents:
    """Ends all that a project does; its row must be locked, so that nothing can be added.

    With `erased_emails`, which may be empty, the project was an erased user's, and the job empties
    its entries in the audit log.

    1. Deletes destinations, triggers and hooks: whatever fires or sends them now is waited for.
    2. Deletes keys, invitations and memberships, and marks the project for the job.
    3. Notifies every replica, whose streams and exports then end.
    """
    project = EndedProject(session, project_id)
    contents = await count_contents(session, project_id)
    await project.delete_destinations()
    await project.delete_triggers()
    await project.delete_hooks()
    await project.delete_keys()
    await project.delete_invitations()
    members = await project.delete_members()
    await project.mark_deleted(erased_emails=erased_emails)
    await notify(session, CREDENTIALS_CHANGED, *sorted(map(str, members)))
    await notify(session, EVENTS_STORED, str(project_id))  # streams look at their credentials again
    await notify(session, PROJECTS_DELETED)
    return contents
