"""Users, logins and refresh tokens in the database."""

from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import Login, RefreshToken, Role, User


@dataclass(frozen=True)
class Users:
    session: AsyncSession

    async def exist(self) -> bool:
        return (await self.session.scalar(select(User.id).limit(1))) is not None

    async def get_one(self, user_id: int) -> User:
        return (await self.session.scalars(select(User).where(User.id == user_id))).one()

    async def get_by_email(self, email: str) -> User | None:
        return (await self.session.scalars(select(User).where(User.email == email))).one_or_none()

    async def lock_unchanged(self, user: User) -> bool:
        """Holds off changes to an account that is enabled and still has the same password."""
        statement = (
            select(User.id)
            .where(User.id == user.id, User.password_hash == user.password_hash)
            .where(User.disabled_at.is_(None))
            .with_for_update(read=True)
        )
        return await self.session.scalar(statement) is not None

    async def add(self, *, email: str, password_hash: str, role: Role) -> User | None:
        """Gives None when the address is taken."""
        row = insert(User).values(email=email, password_hash=password_hash, role=role)
        statement = row.on_conflict_do_nothing(index_elements=[User.email]).returning(User)
        return (await self.session.scalars(statement)).one_or_none()

    async def set_password(self, user_id: int, password_hash: str) -> None:
        await self.session.execute(
            update(User).where(User.id == user_id).values(password_hash=password_hash)
        )

    async def disable(self, user_id: int) -> None:
        await self.session.execute(
            update(User).where(User.id == user_id).values(disabled_at=func.now())
        )


@dataclass(frozen=True)
class Logins:
    session: AsyncSession

    async def add(self, login_id: UUID, user_id: int, lifetime: timedelta) -> None:
        self.session.add(Login(id=login_id, user_id=user_id, expires_at=func.now() + lifetime))
        await self.session.flush()

    async def get_user(self, login_id: UUID, user_id: int) -> User | None:
        """The user of a login that has neither ended nor been revoked, unless disabled."""
        statement = (
            select(User)
            .join(Login, Login.user_id == User.id)
            .where(Login.id == login_id, User.id == user_id)
            .where(Login.revoked_at.is_(None), Login.expires_at > func.now())
            .where(User.disabled_at.is_(None))
        )
        return (await self.session.scalars(statement)).one_or_none()

    async def revoke(self, login_id: UUID) -> None:
        await self.session.execute(
            update(Login).where(Login.id == login_id).values(revoked_at=func.now())
        )

    async def revoke_all_of(self, user_id: int) -> None:
        await self.session.execute(
            update(Login)
            .where(Login.user_id == user_id, Login.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )

    async def add_token(self, login_id: UUID, token_hash: bytes) -> None:
        self.session.add(RefreshToken(login_id=login_id, token_hash=token_hash))
        await self.session.flush()

    async def claim_token(self, token_hash: bytes) -> RefreshToken | None:
        """Locks a refresh token, so that of two that come at once one is a reuse."""
        statement = (
            select(RefreshToken).where(RefreshToken.token_hash == token_hash).with_for_update()
        )
        return (await self.session.scalars(statement)).one_or_none()

    async def record_used(self, token_id: int) -> None:
        await self.session.execute(
            update(RefreshToken).where(RefreshToken.id == token_id).values(used_at=func.now())
        )

    async def get_user_of(self, login_id: UUID) -> User | None:
        user_id = await self.session.scalar(select(Login.user_id).where(Login.id == login_id))
        return None if user_id is None else await self.get_user(login_id, user_id)

    async def purge_expired(self) -> None:
        await self.session.execute(delete(Login).where(Login.expires_at < func.now()))
