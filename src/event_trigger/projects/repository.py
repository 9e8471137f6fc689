"""Reads and writes invitations in the database."""

from dataclasses import dataclass

from sqlalchemy import delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page, fetch_rows
from event_trigger.models import Invitation, Project, ProjectMember, ProjectRole, Role, User

_OPEN = (  # and made by somebody who may still invite
    select(Invitation)
    .join(Project, Project.id == Invitation.project_id)
    .join(User, User.id == Invitation.made_by)
    .outerjoin(
        ProjectMember,
        (ProjectMember.project_id == Invitation.project_id)
        & (ProjectMember.user_id == Invitation.made_by),
    )
    .where(Invitation.accepted_at.is_(None), Invitation.expires_at > func.now())
    .where(Project.deleted_at.is_(None), User.disabled_at.is_(None))
    .where(or_(ProjectMember.role == ProjectRole.OWNER, User.role == Role.ADMIN))
)


@dataclass(frozen=True)
class Invitations:
    session: AsyncSession

    async def add(self, invitation: Invitation) -> None:
        self.session.add(invitation)
        await self.session.flush()

    async def list_open(
        self, project_id: int, *, before: int | None, limit: int
    ) -> Page[Invitation]:
        """Returns a project's open invitations, newest first."""
        statement = _OPEN.where(Invitation.project_id == project_id)
        if before is not None:
            statement = statement.where(Invitation.id < before)
        return await fetch_rows(self.session, statement.order_by(Invitation.id.desc()), limit=limit)

    async def count_open(self, project_id: int) -> int:
        statement = _OPEN.where(Invitation.project_id == project_id)
        return int(await self.session.scalar(statement.with_only_columns(func.count())) or 0)

    async def get_open(self, token_hash: bytes) -> Invitation | None:
        statement = _OPEN.where(Invitation.token_hash == token_hash)
        return (await self.session.scalars(statement)).one_or_none()

    async def get(self, project_id: int, invitation_id: int) -> Invitation | None:
        """Returns an open invitation of a project."""
        statement = _OPEN.where(Invitation.project_id == project_id, Invitation.id == invitation_id)
        return (await self.session.scalars(statement)).one_or_none()

    async def delete(self, invitation: Invitation) -> None:
        await self.session.delete(invitation)
        await self.session.flush()

    async def delete_made_by(self, project_id: int, user_id: int) -> int:
        """Deletes the invitations that a user made in a project; returns their number."""
        statement = delete(Invitation).where(
            Invitation.project_id == project_id, Invitation.made_by == user_id
        )
        deleted = await self.session.scalars(
            statement.returning(Invitation.id), execution_options={"synchronize_session": False}
        )
        return len(deleted.all())

    async def purge_expired(self) -> None:
        await self.session.execute(delete(Invitation).where(Invitation.expires_at < func.now()))
