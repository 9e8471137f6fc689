"""Stores when logins and API keys were used, to the minute."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.clock import utc_now
from event_trigger.models import ApiKey, Login

_LAST_USED_PRECISION = timedelta(minutes=1)


async def note_used(
    session: AsyncSession, kind: type[ApiKey] | type[Login], row_id: int | UUID
) -> None:
    """Updates `last_used_at` at most once a minute, so that a busy credential is not a busy row."""
    stale = or_(kind.last_used_at.is_(None), kind.last_used_at < func.now() - _LAST_USED_PRECISION)
    statement = update(kind).where(kind.id == row_id, stale)
    await session.execute(
        statement.values(last_used_at=func.now()),
        execution_options={"synchronize_session": False},
    )


def was_just_used(last_used_at: datetime | None) -> bool:
    """Spares most calls the statement; it goes by this process's clock, which may be off."""
    return last_used_at is not None and utc_now() - last_used_at < _LAST_USED_PRECISION
