"""Reads and ends the logins of one user in the database."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.keyset import Page, fetch_rows
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
