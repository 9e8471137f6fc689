"""Lists and ends a user's logins; every replica refuses an ended one within a second."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.audit.recorder import record
from event_trigger.auth.principal import Principal
from event_trigger.auth.repository.logins import Logins
from event_trigger.db.keyset import Page, fetch_rows
from event_trigger.db.notify import CREDENTIALS_CHANGED, notify
from event_trigger.errors import NotFound, Unauthorized
from event_trigger.models import Login


@dataclass(frozen=True, slots=True)
class VisibleLogins:
    """Selects a user's logins that have not ended, without scopes beyond `scopes`.

    None means any; a login that was not narrowed has more scopes than each narrowed one.
    """

    user_id: int
    scopes: Sequence[str] | None

    def conditions(self) -> list[ColumnElement[bool]]:
        conditions: list[ColumnElement[bool]] = [
            Login.user_id == self.user_id,
            Login.revoked_at.is_(None),
            Login.expires_at > func.now(),
        ]
        if self.scopes is not None:
            conditions.append(Login.scopes.contained_by(self.scopes))
        return conditions


@dataclass(frozen=True)
class LiveLogins:
    session: AsyncSession

    async def list_page(
        self, visible: VisibleLogins, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> Page[Login]:
        """Returns logins newest first."""
        position = tuple_(Login.created_at, Login.id)
        statement = select(Login).where(*visible.conditions())
        if before is not None:
            statement = statement.where(position < before)
        newest_first = statement.order_by(Login.created_at.desc(), Login.id.desc())
        return await fetch_rows(self.session, newest_first, limit=limit)

    async def end(self, visible: VisibleLogins, login_id: UUID) -> bool:
        """Ends a login; returns False if the caller sees no such login."""
        statement = update(Login).where(Login.id == login_id, *visible.conditions())
        ended = statement.values(revoked_at=func.now()).returning(Login.id)
        return await self.session.scalar(ended) is not None

    async def end_others(self, visible: VisibleLogins, *, but: UUID) -> int:
        """Ends all logins but one; returns their number."""
        statement = update(Login).where(Login.id != but, *visible.conditions())
        ended = statement.values(revoked_at=func.now()).returning(Login.id)
        return len((await self.session.scalars(ended)).all())


async def visible_logins(session: AsyncSession, login: Principal) -> VisibleLogins:
    """Selects the logins that a login may see and end: its user's own that still live.

    A narrowed login sees only those that hold no scope beyond its own.
    """
    assert login.login_id is not None
    found = await Logins(session).get_with_user(login.login_id, login.user_id)
    if found is None:
        raise Unauthorized
    return VisibleLogins(login.user_id, login.narrow(found[0].scopes))


async def end_session(session: AsyncSession, login: Principal, login_id: UUID) -> None:
    """Ends one login; raises NotFound for one that the caller may not see, or that has ended."""
    visible = await visible_logins(session, login)
    if not await LiveLogins(session).end(visible, login_id):
        raise NotFound
    await record(session, "login", after={"revoked": "ended by its user", "login": str(login_id)})
    await notify(session, CREDENTIALS_CHANGED, str(login.user_id))


async def end_other_sessions(session: AsyncSession, login: Principal) -> None:
    """Ends all logins that the caller may see, but the one that it uses."""
    assert login.login_id is not None
    visible = await visible_logins(session, login)
    ended = await LiveLogins(session).end_others(visible, but=login.login_id)
    if ended:
        await record(session, "login", after={"revoked": "all others", "ended": ended})
        await notify(session, CREDENTIALS_CHANGED, str(login.user_id))
