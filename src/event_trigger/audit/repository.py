"""Reads and purges the audit log in the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Text, cast, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from event_trigger.db.keyset import Page, fetch_page
from event_trigger.models import AuditEntry


def _size_of(column: InstrumentedAttribute[dict[str, Any] | None]) -> ColumnElement[int]:
    return func.coalesce(func.octet_length(cast(column, Text)), 0)


@dataclass(frozen=True, slots=True)
class AuditFilter:
    user_id: int | None = None
    action: str | None = None
    target: str | None = None
    target_id: int | None = None
    refused: bool | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class AuditLog:
    session: AsyncSession

    async def list_page(
        self, wanted: AuditFilter, *, before: tuple[datetime, int] | None, limit: int
    ) -> Page[AuditEntry]:
        """Returns entries newest first; of one instant, the larger id is the newer."""
        statement = select(AuditEntry).order_by(AuditEntry.at.desc(), AuditEntry.id.desc())
        for column, value in (
            (AuditEntry.user_id, wanted.user_id),
            (AuditEntry.action, wanted.action),
            (AuditEntry.target, wanted.target),
            (AuditEntry.target_id, wanted.target_id),
        ):
            if value is not None:
                statement = statement.where(column == value)
        if wanted.refused is not None:
            statement = statement.where(
                AuditEntry.refused if wanted.refused else ~AuditEntry.refused
            )
        if wanted.since is not None:
            statement = statement.where(AuditEntry.at >= wanted.since)
        if wanted.until is not None:
            statement = statement.where(AuditEntry.at < wanted.until)
        if before is not None:
            statement = statement.where(tuple_(AuditEntry.at, AuditEntry.id) < before)
        size = _size_of(AuditEntry.before) + _size_of(AuditEntry.after)
        return await fetch_page(self.session, statement, size=size, limit=limit)

    async def has(self, entry_id: int) -> bool:
        return await self.session.get(AuditEntry, entry_id) is not None

    async def purge_older_than(self, instant: datetime) -> None:
        await self.session.execute(delete(AuditEntry).where(AuditEntry.at < instant))
