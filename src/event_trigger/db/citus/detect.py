"""Detects a Citus cluster, because some statements differ on one."""

from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Engine, text
from sqlalchemy.ext.asyncio import AsyncConnection

from event_trigger.db.plain_session import ReadSession

_HAS_CITUS = text("SELECT to_regclass('citus_tables') IS NOT NULL")
_IS_DISTRIBUTED = text("""
    SELECT EXISTS (SELECT FROM citus_tables
        WHERE table_name = to_regclass(:table) AND citus_table_type = 'distributed')
""")
_known: WeakKeyDictionary[Engine | Connection, bool] = WeakKeyDictionary()


async def has_citus(database: AsyncConnection | ReadSession) -> bool:
    """Tells whether this database has the Citus extension."""
    return bool(await database.scalar(_HAS_CITUS))


async def is_distributed(database: AsyncConnection | ReadSession) -> bool:
    """Tells whether the tables are spread over a cluster: the extension alone changes nothing."""
    return await has_citus(database) and bool(
        await database.scalar(_IS_DISTRIBUTED, {"table": "events"})
    )


def is_known_cluster(engine: Engine) -> bool:
    """Tells what `is_in_cluster` has found before; False if it was not asked."""
    return _known.get(engine, False)


async def is_in_cluster(session: ReadSession) -> bool:
    """Does as `is_distributed`, once per engine: while that changes, every replica is stopped."""
    bind = session.get_bind()
    if bind not in _known:
        _known[bind] = await is_distributed(session)
    return _known[bind]
