"""Reads, writes and revokes logins and their refresh tokens; stores when credentials were used."""

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.clock import utc_now
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.models import ApiKey, Login, RefreshToken, User

LONGEST_USER_AGENT = 200  # characters
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
LOGIN_LIFETIME = timedelta(days=30)
IDLE_SESSION_LIFETIME = timedelta(hours=12)  # of a browser, after its last use
_LAST_USED_PRECISION = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Origin:
    """The address and the `User-Agent` of a request, as they are stored; None where unknown."""

    address: str | None = None
    user_agent: str | None = None


UNKNOWN_ORIGIN = Origin()


def clean_user_agent(value: str | None) -> str | None:
    """Cuts a `User-Agent` header, and replaces control, invisible and bidirectional characters.

    Servers decode headers as Latin-1; clients that send more than ASCII send UTF-8.
    """
    if value is None:
        return None
    text = value.encode("latin-1", "replace").decode(errors="replace").strip()
    shown = "".join(_REPLACEMENT if _is_control(one) else one for one in text[:LONGEST_USER_AGENT])
    return shown or None


def _is_control(character: str) -> bool:
    return unicodedata.category(character)[0] == "C"


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


async def note_used(session: AsyncSession, *, login_id: UUID | None, key_id: int | None) -> None:
    """Updates `last_used_at` at most once a minute, so that a busy credential is not a busy row.

    It puts off the end of a browser's session, but not beyond the life of any login.
    """
    kind = ApiKey if login_id is None else Login
    stale = or_(kind.last_used_at.is_(None), kind.last_used_at < func.now() - _LAST_USED_PRECISION)
    statement = update(kind).where(kind.id == (key_id if login_id is None else login_id), stale)
    values: dict[str, ColumnElement[Any]] = {"last_used_at": func.now()}
    if login_id is not None:
        later = func.least(Login.created_at + LOGIN_LIFETIME, func.now() + IDLE_SESSION_LIFETIME)
        values["expires_at"] = case((Login.cookie_hash.is_(None), Login.expires_at), else_=later)
    await session.execute(
        statement.values(values), execution_options={"synchronize_session": False}
    )


def was_just_used(last_used_at: datetime | None) -> bool:
    """Spares most calls the statement; it goes by this process's clock, which may be off."""
    return last_used_at is not None and utc_now() - last_used_at < _LAST_USED_PRECISION
