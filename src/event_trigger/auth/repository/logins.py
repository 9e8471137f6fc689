"""Reads, writes and revokes logins and their refresh tokens."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.auth.origin import UNKNOWN_ORIGIN, Origin
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.models import Login, RefreshToken, User


@dataclass(frozen=True)
class Logins:
    session: AsyncSession

    async def add(
        self,
        login_id: UUID,
        user_id: int,
        lifetime: timedelta,
        *,
        scopes: Iterable[str] | None = None,
        origin: Origin = UNKNOWN_ORIGIN,
        cookie_hash: bytes | None = None,
    ) -> None:
        self.session.add(
            Login(
                id=login_id,
                user_id=user_id,
                expires_at=func.now() + lifetime,
                scopes=None if scopes is None else sorted(scopes),
                address=origin.address,
                user_agent=origin.user_agent,
                last_used_at=func.now(),
                cookie_hash=cookie_hash,
            )
        )
        await self.session.flush()

    async def get_with_user(self, login_id: UUID, user_id: int) -> tuple[Login, User] | None:
        """Returns a login that is neither expired nor revoked, with its user if that is enabled."""
        statement = (
            select(Login, User)
            .join(User, Login.user_id == User.id)
            .where(Login.id == login_id, User.id == user_id)
            .where(Login.revoked_at.is_(None), Login.expires_at > func.now())
            .where(User.disabled_at.is_(None))
        )
        row = (await self.session.execute(statement)).one_or_none()
        return None if row is None else (row[0], row[1])

    async def note_refreshed(self, login_id: UUID, origin: Origin) -> None:
        """Stores where a login is used from now, and that it is used."""
        statement = update(Login).where(Login.id == login_id)
        await self.session.execute(
            statement.values(
                address=origin.address, user_agent=origin.user_agent, last_used_at=func.now()
            ),
            execution_options={"synchronize_session": False},
        )

    async def revoke(self, login_id: UUID) -> int | None:
        """Revokes a login; returns its user's id, or None if it was revoked before."""
        statement = (
            update(Login)
            .where(Login.id == login_id, Login.revoked_at.is_(None))
            .values(revoked_at=func.now())
            .returning(Login.user_id)
        )
        user_id = await self.session.scalar(statement)
        if user_id is not None:
            await notify(self.session, CREDENTIALS_CHANGED, str(user_id))
        return user_id

    async def revoke_all_of(self, user_id: int) -> None:
        await self.session.execute(
            update(Login)
            .where(Login.user_id == user_id, Login.revoked_at.is_(None))
            .values(revoked_at=func.now())
        )
        await notify(self.session, CREDENTIALS_CHANGED, str(user_id))

    async def add_token(self, login_id: UUID, token_hash: bytes) -> None:
        self.session.add(RefreshToken(login_id=login_id, token_hash=token_hash))
        await self.session.flush()

    async def claim_token(self, token_hash: bytes) -> RefreshToken | None:
        """Locks a refresh token, so that of two parallel uses the second is seen as a reuse."""
        statement = (
            select(RefreshToken).where(RefreshToken.token_hash == token_hash).with_for_update()
        )
        return (await self.session.scalars(statement)).one_or_none()

    async def record_used(self, token_id: int) -> None:
        await self.session.execute(
            update(RefreshToken).where(RefreshToken.id == token_id).values(used_at=func.now())
        )

    async def get_of_token(self, token: RefreshToken) -> tuple[Login, User] | None:
        login_id = token.login_id
        user_id = await self.session.scalar(select(Login.user_id).where(Login.id == login_id))
        return None if user_id is None else await self.get_with_user(login_id, user_id)

    async def purge_expired(self) -> None:
        await self.session.execute(delete(Login).where(Login.expires_at < func.now()))
