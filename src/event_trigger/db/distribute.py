"""Distributes the tables over a Citus cluster; a repeated run does only the missing steps."""

from collections.abc import Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from event_trigger.db.citus.detect import has_citus
from event_trigger.db.citus.plan import CatalogState, PlacedTable, plan_statements
from event_trigger.db.engine import create_maintenance_engine
from event_trigger.db.revisions import is_migrated

_DISTRIBUTE_LOCK = 0x6576_7464  # "evtd"
_LIST_PLACED_TABLES = text("""
    SELECT CAST(table_name AS text), citus_table_type, distribution_column, colocation_id
    FROM citus_tables
""")
_LIST_SETTINGS = text("""
    SELECT lower(split_part(setting, '=', 1)) AS name,
        substr(setting, strpos(setting, '=') + 1) AS value
    FROM pg_db_role_setting CROSS JOIN unnest(setconfig) AS setting
    WHERE setrole = to_regrole(quote_ident(current_user))
        AND setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database())
""")
_READ_NAME = text("SELECT quote_ident(current_database())")


class NotACluster(ValueError):
    def __init__(self) -> None:
        super().__init__(
            "This database has no Citus extension, so there is nothing to distribute over."
            " 'distribute --dry-run' shows what would be done."
        )


class NotMigrated(ValueError):
    def __init__(self) -> None:
        super().__init__("The database is not migrated to this version: run 'migrate'.")


async def planned_statements(engine: AsyncEngine) -> list[str]:
    """Returns the missing statements; for a database without Citus, those of a fresh cluster."""
    async with engine.connect() as connection:
        if not await has_citus(connection):
            return plan_statements(CatalogState(await _name_of(connection)))
        return plan_statements(await _read_catalog(connection))


async def distribute(engine: AsyncEngine, report: Callable[[str], None]) -> int:
    """Runs the missing statements, each after passing it to `report`; returns their number.

    After an interruption it continues at the next call. Raises NotACluster or NotMigrated.
    """
    maintenance = create_maintenance_engine(engine.url)
    try:
        async with maintenance.connect() as connection:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            if not await has_citus(connection):
                raise NotACluster

            await connection.execute(
                text("SELECT pg_advisory_lock(:lock)"), {"lock": _DISTRIBUTE_LOCK}
            )
            statements = plan_statements(await _read_catalog(connection))
            for statement in statements:
                report(f"{statement};")
                await connection.exec_driver_sql(statement)
            return len(statements)
    finally:
        await maintenance.dispose()


async def _read_catalog(connection: AsyncConnection) -> CatalogState:
    if not await connection.run_sync(is_migrated):
        raise NotMigrated
    placed = {
        name: PlacedTable(kind, column, group)
        for name, kind, column, group in await connection.execute(_LIST_PLACED_TABLES)
    }
    settings = {row.name: row.value for row in await connection.execute(_LIST_SETTINGS)}
    return CatalogState(await _name_of(connection), placed, settings)


async def _name_of(connection: AsyncConnection) -> str:
    return str(await connection.scalar(_READ_NAME))
