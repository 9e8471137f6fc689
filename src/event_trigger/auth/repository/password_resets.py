"""Stores links that set a new password, by the digests of their tokens."""

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.models import PasswordReset, User

RESET_PATH = "/auth/reset"  # where the links lead, with their token after `#`


@dataclass(frozen=True)
class PasswordResets:
    session: AsyncSession

    async def add(self, user_id: int, token_hash: bytes, *, lasts: timedelta) -> int:
        reset = PasswordReset(user_id=user_id, token_hash=token_hash, expires_at=func.now() + lasts)
        self.session.add(reset)
        await self.session.flush()
        return reset.id

    async def is_open(self, token_hash: bytes) -> bool:
        """Whether the link is good now, and its user is enabled."""
        statement = select(PasswordReset.id).join(User, User.id == PasswordReset.user_id)
        return (
            await self.session.scalar(
                statement.where(
                    PasswordReset.token_hash == token_hash,
                    PasswordReset.expires_at > func.now(),
                    User.disabled_at.is_(None),
                )
            )
            is not None
        )

    async def use(self, token_hash: bytes) -> int | None:
        """Deletes a good link, so that of two uses one succeeds; returns its user's id."""
        statement = delete(PasswordReset).where(
            PasswordReset.token_hash == token_hash, PasswordReset.expires_at > func.now()
        )
        return await self.session.scalar(statement.returning(PasswordReset.user_id))

    async def end_all_of(self, user_id: int) -> None:
        """Deletes the links of a user, and the mails that wait with them."""
        await self.session.execute(delete(PasswordReset).where(PasswordReset.user_id == user_id))

    async def purge_expired(self) -> None:
        await self.session.execute(
            delete(PasswordReset).where(PasswordReset.expires_at < func.now())
        )
