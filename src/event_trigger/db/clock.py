"""The database's clock: the only one that decides what is due, active or gone."""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession


async def database_now(session: AsyncSession) -> datetime:
    """The instant of asking, not of the transaction's start: locks may have been waited for."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now
