"""Reads, writes and locks projects and their members in the database.

Every transaction takes its locks in this order, or two of them would wait for each other:

1. projects, by id;
2. users, the admins first;
3. what a user holds: API keys, refresh tokens, logins;
4. counts of failures.

A transaction that needs no lock of an earlier kind begins with a later one; none goes back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import and_, delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.errors import NotFound
from event_trigger.models import Project, ProjectMember, ProjectRole, User

_NEXT_ID = text("SELECT nextval(pg_get_serial_sequence('users', 'id'))")  # shared with users
_MEMBERS = (
    select(ProjectMember, User.email)
    .join(User, User.id == ProjectMember.user_id)
    .order_by(ProjectMember.created_at.desc(), ProjectMember.user_id.desc())
)


class Membership(NamedTuple):
    """A project that still exists, and a user's role in it."""

    project: Project
    role: ProjectRole


class Member(NamedTuple):
    """A member of a project, with the account's address."""

    user_id: int
    email: str
    role: ProjectRole
    since: datetime


def _member(member: ProjectMember, email: str) -> Member:
    return Member(member.user_id, email, ProjectRole(member.role), member.created_at)


@dataclass(frozen=True)
class Memberships:
    session: AsyncSession

    async def role_in(self, project_id: int, user_id: int) -> ProjectRole | None:
        """Returns a user's role in a project, or None if there is no such project or member."""
        statement = (
            select(ProjectMember.role)
            .join(Project, Project.id == ProjectMember.project_id)
            .where(ProjectMember.project_id == project_id, ProjectMember.user_id == user_id)
            .where(Project.deleted_at.is_(None))
        )
        role = await self.session.scalar(statement)
        return None if role is None else ProjectRole(role)

    async def get_default(self, user: User) -> tuple[int, ProjectRole]:
        """Returns the project of calls that name none, and the user's role there.

        It is the user's own if none was chosen, or if the user is no member of the chosen one.
        """
        if user.default_project_id is not None:
            role = await self.role_in(user.default_project_id, user.id)
            if role is not None:
                return user.default_project_id, role
        return await self.get_own(user), ProjectRole.OWNER

    async def get_own(self, user: User) -> int:
        """Returns a user's own project; adds it if the version before projects added the user."""
        if await self.role_in(user.id, user.id) is None:
            await self.add_own(user)
        return user.id

    async def add_own(self, user: User) -> None:
        """Adds a user's own project, whose id is the user's, unless it or the user is gone."""
        still_there = select(User.id).where(User.id == user.id)
        if (
            await self.session.scalar(still_there.with_for_update(read=True, key_share=True))
            is None
        ):
            return
        project = insert(Project).values(id=user.id, name=user.email)
        await self.session.execute(project.on_conflict_do_nothing())
        await self.add_member(user.id, user.id, ProjectRole.OWNER)

    async def add(self, name: str, *, owner: int) -> Project:
        """Adds a project with its first member."""
        project = Project(id=int(await self.session.scalar(_NEXT_ID) or 0), name=name)
        self.session.add(project)
        await self.session.flush()
        await self.session.refresh(project)
        await self.add_member(project.id, owner, ProjectRole.OWNER)
        await notify(self.session, CREDENTIALS_CHANGED, str(owner))
        return project

    async def has_project(self, project_id: int) -> bool:
        return await self.get_project(project_id) is not None

    async def get_project(self, project_id: int) -> Project | None:
        statement = select(Project).where(Project.id == project_id, Project.deleted_at.is_(None))
        return (await self.session.scalars(statement)).one_or_none()

    async def get_project_locked(self, project_id: int) -> Project | None:
        """Locks a project, so that of two changes of its members the second sees the first.

        Rows that refer to the project, such as keys, may be added all the while: who adds one
        may hold a lock that the change needs next.
        """
        statement = select(Project).where(Project.id == project_id, Project.deleted_at.is_(None))
        locked = statement.with_for_update(key_share=True)
        return (await self.session.scalars(locked)).one_or_none()

    async def list_of(self, user_id: int) -> Sequence[Membership]:
        """Returns a user's projects in the order of their ids."""
        statement = (
            select(Project, ProjectMember.role)
            .join(ProjectMember, ProjectMember.project_id == Project.id)
            .where(ProjectMember.user_id == user_id, Project.deleted_at.is_(None))
            .order_by(Project.id)
        )
        rows = await self.session.execute(statement)
        return [Membership(project, ProjectRole(role)) for project, role in rows]

    async def list_page_of(
        self, user_id: int, *, before: int | None, limit: int, with_others: bool = False
    ) -> Page[Membership]:
        """Returns a user's projects, newest first; `with_others` adds those of an owner by right.

        An admin is that in every project of which it is no member.
        """
        is_theirs = and_(ProjectMember.project_id == Project.id, ProjectMember.user_id == user_id)
        statement = (
            select(Project, func.coalesce(ProjectMember.role, ProjectRole.OWNER))
            .join(ProjectMember, is_theirs, isouter=with_others)
            .where(Project.deleted_at.is_(None))
            .order_by(Project.id.desc())
            .limit(limit + 1)
        )
        if before is not None:
            statement = statement.where(Project.id < before)
        rows = (await self.session.execute(statement)).all()
        found = [Membership(project, ProjectRole(role)) for project, role in rows]
        return Page(found[:limit], more=len(found) > limit)

    async def count_owned_by(self, user_id: int) -> int:
        """Counts the projects that a user owns, its own one too."""
        statement = (
            select(func.count())
            .select_from(ProjectMember)
            .join(Project, Project.id == ProjectMember.project_id)
            .where(ProjectMember.user_id == user_id, ProjectMember.role == ProjectRole.OWNER)
            .where(Project.deleted_at.is_(None))
        )
        return int(await self.session.scalar(statement) or 0)

    async def list_members(
        self, project_id: int, *, before: tuple[datetime, int] | None, limit: int
    ) -> Page[Member]:
        """Returns a project's members newest first; of one instant, the larger id is the newer."""
        statement = _MEMBERS.where(ProjectMember.project_id == project_id).limit(limit + 1)
        if before is not None:
            position = tuple_(ProjectMember.created_at, ProjectMember.user_id)
            statement = statement.where(position < before)
        rows = (await self.session.execute(statement)).all()
        found = [_member(member, email) for member, email in rows]
        return Page(found[:limit], more=len(found) > limit)

    async def get_member(self, project_id: int, user_id: int) -> Member | None:
        statement = _MEMBERS.where(
            ProjectMember.project_id == project_id, ProjectMember.user_id == user_id
        )
        row = (await self.session.execute(statement)).one_or_none()
        return None if row is None else _member(*row)

    async def count_members(self, project_id: int) -> int:
        statement = select(func.count()).where(ProjectMember.project_id == project_id)
        return int(await self.session.scalar(statement) or 0)

    async def count_owners(self, project_id: int, *, besides: int | None = None) -> int:
        """Counts the owners of a project that are not disabled, and are not the user `besides`."""
        statement = (
            select(func.count())
            .select_from(ProjectMember)
            .join(User, User.id == ProjectMember.user_id)
            .where(ProjectMember.project_id == project_id, User.disabled_at.is_(None))
            .where(ProjectMember.role == ProjectRole.OWNER)
            .where(ProjectMember.user_id.is_distinct_from(besides))
        )
        return int(await self.session.scalar(statement) or 0)

    async def add_member(self, project_id: int, user_id: int, role: ProjectRole) -> bool:
        """Adds a member; returns False if the user is one already."""
        row = insert(ProjectMember).values(project_id=project_id, user_id=user_id, role=role)
        statement = row.on_conflict_do_nothing().returning(ProjectMember.user_id)
        return await self.session.scalar(statement) is not None

    async def change_role(self, project_id: int, user_id: int, role: ProjectRole) -> None:
        statement = update(ProjectMember).where(
            ProjectMember.project_id == project_id, ProjectMember.user_id == user_id
        )
        await self.session.execute(
            statement.values(role=role), execution_options={"synchronize_session": False}
        )
        await notify(self.session, CREDENTIALS_CHANGED, str(user_id))

    async def remove_member(self, project_id: int, user_id: int) -> None:
        """Removes a member; calls that name no project happen in the user's own one then."""
        await self.session.execute(
            delete(ProjectMember).where(
                ProjectMember.project_id == project_id, ProjectMember.user_id == user_id
            ),
            execution_options={"synchronize_session": False},
        )
        await self.session.execute(
            update(User)
            .where(User.id == user_id, User.default_project_id == project_id)
            .values(default_project_id=None),
            execution_options={"synchronize_session": False},
        )
        await notify(self.session, CREDENTIALS_CHANGED, str(user_id))


async def lock_project(session: AsyncSession, project_id: int) -> None:
    """Locks a project until the commit; raises NotFound if it has just been deleted.

    Of two creations, the second waits, and counts what the first has created. Lock the project
    before its other rows, as its deletion does, but late: nothing that takes long may come between
    this and the commit.
    """
    if await Memberships(session).get_project_locked(project_id) is None:
        raise NotFound
