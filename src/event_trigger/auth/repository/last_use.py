"""Stores when logins and API keys were used, to the minute."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, or_, update
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.clock import utc_now
from event_trigger.models import ApiKey, Login

LOGIN_LIFETIME = timedelta(days=30)
IDLE_SESSION_LIFETIME = timedelta(hours=12)  # of a browser, after its last use
_LAST_USED_PRECISION = timedelta(minutes=1)


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
