"""Detects the Citus extension, because some statements differ on a cluster."""

from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

_HAS_CITUS = text("SELECT to_regclass('citus_tables') IS NOT NULL")
_known: WeakKeyDictionary[Engine | Connection, bool] = WeakKeyDictionary()


async def has_citus(database: AsyncConnection | AsyncSession) -> bool:
    """Tells whether this database has the Citus extension."""
    return bool(await database.scalar(_HAS_CITUS))


async def is_in_cluster(session: AsyncSession) -> bool:
    """Does as `has_citus`, once per engine: while that changes, every replica is stopped."""
    bind = session.get_bind()
    if bind not in _known:
        _known[bind] = await has_citus(session)
    return _known[bind]
