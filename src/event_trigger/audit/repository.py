"""Reads and purges the audit log in the database."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, cast, delete, func, select, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute

from event_trigger.db.keyset import Page, fetch_page
from event_trigger.models import AuditEntry, ProjectMember


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
    project_id: int | None = None


@dataclass(frozen=True)
class AuditLog:
    session: AsyncSession

    async def list_page(
        self, wanted: AuditFilter, *, before: tuple[datetime, int] | None, limit: int
    ) -> Page[AuditEntry]:
        """Returns entries newest first; of one instant, the larger id is the newer."""
        statement = _newest_first(wanted, before)
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
        size = _size_of(AuditEntry.before) + _size_of(AuditEntry.after)
        return await fetch_page(self.session, statement, size=size, limit=limit)

    async def list_members(self, project_id: int, user_ids: Collection[int]) -> set[int]:
        """Returns those of the users that are members of the project now."""
        statement = select(ProjectMember.user_id).where(
            ProjectMember.project_id == project_id, ProjectMember.user_id.in_(user_ids)
        )
        return set((await self.session.scalars(statement)).all())

    async def has(self, entry_id: int) -> bool:
        return await self.session.get(AuditEntry, entry_id) is not None

    async def purge_older_than(self, instant: datetime) -> None:
        await self.session.execute(delete(AuditEntry).where(AuditEntry.at < instant))


def _newest_first(wanted: AuditFilter, before: tuple[datetime, int] | None) -> Select[AuditEntry]:
    """Selects a span of the log, or of one project's.

    A project's entries are compared and sorted by (project_id, at, id). With an equality instead,
    the planner may read the index of another filter, and skip the entries of all other projects.
    """
    place: list[ColumnElement[Any]] = [AuditEntry.at.expression, AuditEntry.id.expression]
    project: list[int] = []
    statement = select(AuditEntry)
    if wanted.project_id is not None:
        project, place = [wanted.project_id], [AuditEntry.project_id.expression, *place]
        statement = statement.where(
            AuditEntry.project_id.between(wanted.project_id, wanted.project_id)
        )
    if wanted.since is not None:
        statement = statement.where(tuple_(*place) >= (*project, wanted.since, 0))
    if wanted.until is not None:
        statement = statement.where(tuple_(*place) < (*project, wanted.until, 0))
    if before is not None:
        statement = statement.where(tuple_(*place) < (*project, *before))
    return statement.order_by(*(column.desc() for column in place))
