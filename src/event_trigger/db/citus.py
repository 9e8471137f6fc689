"""Whether the tables may be spread over a cluster: some statements have to know."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

_HAS_CITUS = text("SELECT to_regclass('citus_tables') IS NOT NULL")


async def has_citus(database: AsyncConnection | AsyncSession) -> bool:
    """Whether this database has the Citus extension."""
    return bool(await database.scalar(_HAS_CITUS))
