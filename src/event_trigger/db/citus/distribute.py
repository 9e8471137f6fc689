"""Looks at what a cluster has placed already, and has it place what is left."""

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from event_trigger.db.citus.detect import has_citus
from event_trigger.db.citus.plan import CatalogState, Placed, plan
from event_trigger.db.engine import create_engine
from event_trigger.db.migrate import is_migrated

_LOCK = 0x6576_7464  # "evtd"
_LIST_PLACED = text("""
    SELECT CAST(table_name AS text), citus_table_type, distribution_column, colocation_id
    FROM citus_tables
""")
_LIST_FOREIGN_KEYS = text("""
    SELECT conname FROM pg_constraint
    WHERE contype = 'f' AND connamespace = to_regnamespace(current_schema()) AND conparentid = 0
""")


class NotACluster(ValueError):
    def __init__(self) -> None:
        super().__init__(
            "This database has no Citus extension, so there is nothing to distribute over."
            " 'distribute --dry-run' shows what would be done."
        )


class NotMigrated(ValueError):
    def __init__(self) -> None:
        super().__init__("The database is not migrated to this version: run 'migrate'.")


async def planned(engine: AsyncEngine) -> list[str]:
    """The statements that are left; on a database without Citus, all that there would be."""
    async with engine.connect() as connection:
        if not await has_citus(connection):
            return plan(CatalogState.untouched())
        return plan(await _look(connection))


async def distribute(engine: AsyncEngine, say: Callable[[str], None]) -> int:
    """Does what is left, and says each statement before; gives how many there were.

    Stopped in the middle, it goes on from there when it is called again.
    """
    patient = create_engine(engine.url, connections=1, answer_within=None)
    try:
        async with patient.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if not await has_citus(connection):
                raise NotACluster
            for limit in ("lock_timeout", "statement_timeout"):
                await connection.execute(text(f"SET {limit} = 0"))
            await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            statements = plan(await _look(connection))
            for statement in statements:
                say(f"{statement};")
                await connection.exec_driver_sql(statement)
            return len(statements)
    finally:
        await patient.dispose()


async def _look(connection: AsyncConnection) -> CatalogState:
    if not await connection.run_sync(is_migrated):
        raise NotMigrated
    placed = {
        name: Placed(kind, column, group)
        for name, kind, column, group in await connection.execute(_LIST_PLACED)
    }
    names = await connection.scalars(_LIST_FOREIGN_KEYS)
    return CatalogState(placed, frozenset(names))
