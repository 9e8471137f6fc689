"""Reads, adds and locks users."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page, fetch_rows
from event_trigger.errors import Unauthorized
from event_trigger.models import Destination, NoticeListener, Role, User, shard_of


@dataclass(frozen=True)
class Users:
    session: AsyncSession

    async def exist(self) -> bool:
        return (await self.session.scalar(select(User.id).limit(1))) is not None

    async def get_one(self, user_id: int) -> User:
        """Returns the caller; raises Unauthorized if the user has been erased since."""
        user = await self.session.scalar(select(User).where(User.id == user_id))
        if user is None:
            raise Unauthorized
        return user

    async def get_by_email(self, *spellings: str) -> User | None:
        """Returns the user under the first of these spellings that has an account."""
        statement = select(User).where(User.email.in_(spellings))
        found = {one.email: one for one in (await self.session.scalars(statement)).all()}
        return next((found[one] for one in spellings if one in found), None)

    async def lock_unchanged(self, user: User) -> bool:
        """Locks the user; returns False if it was disabled or has a new password by now."""
        statement = (
            select(User.id)
            .where(User.id == user.id, User.password_hash == user.password_hash)
            .where(User.disabled_at.is_(None))
            .with_for_update(read=True)
        )
        return await self.session.scalar(statement) is not None

    async def add(self, *, email: str, password_hash: str, role: Role) -> User | None:
        """Adds a user; returns None if the address is taken."""
        row = insert(User).values(email=email, password_hash=password_hash, role=role)
        statement = row.on_conflict_do_nothing(index_elements=[User.email]).returning(User)
        return (await self.session.scalars(statement)).one_or_none()

    async def get_locked(self, user_id: int) -> User | None:
        statement = select(User).where(User.id == user_id).with_for_update()
        return (await self.session.scalars(statement)).one_or_none()

    async def lock_admins(self) -> Sequence[User]:
        """Locks and returns all enabled admins, so that two cannot demote each other at once."""
        statement = select(User).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
        return (await self.session.scalars(statement.order_by(User.id).with_for_update())).all()

    async def end_all_projects(self, user_id: int) -> list[tuple[int, int]]:
        """Lets no destination hear of all projects any more by this user's leave.

        Gives their (project id, destination id); they hear of their own project as before.
        """
        ended = await self.session.execute(
            update(NoticeListener)
            .where(NoticeListener.user_id == user_id)
            .values(user_id=None)
            .returning(NoticeListener.owner_id, NoticeListener.destination_id)
        )
        found = sorted((owner_id, destination_id) for owner_id, destination_id in ended)
        for owner_id, destination_id in found:
            await self.session.execute(
                update(Destination)
                .where(Destination.shard == shard_of(owner_id), Destination.id == destination_id)
                .values(all_projects=False, updated_at=func.now())
            )
        return found

    async def list_page(self, *, before: int | None, limit: int) -> Page[User]:
        """Returns users newest first."""
        statement = select(User).order_by(User.id.desc())
        if before is not None:
            statement = statement.where(User.id < before)
        return await fetch_rows(self.session, statement, limit=limit)
