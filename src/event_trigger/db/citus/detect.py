"""Whether the tables may be spread over a cluster: some statements have to know."""

from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

_HAS_CITUS = text("SELECT to_regclass('citus_tables') IS NOT NULL")
_known: WeakKeyDictionary[Engine | Connection, bool] = WeakKeyDictionary()


async def has_citus(database: AsyncConnection | AsyncSession) -> bool:
    """Whether this database has the Citus extension."""
    return bool(await database.scalar(_HAS_CITUS))


async def is_in_cluster(session: AsyncSession) -> bool:
    """As `has_citus`, asked once for each engine: replicas are stopped while that changes."""
    bind = session.get_bind()
    if bind not in _known:
        _known[bind] = await has_citus(session)
    return _known[bind]
