"""The installation's id: made once for a database, and replaced in a copy of that database."""

import secrets
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

log = structlog.get_logger()

_ID_BYTES = 8
_MAY_READ_PLACE = text("""
    SELECT coalesce(has_function_privilege(
        CAST(to_regprocedure('pg_control_system()') AS oid), 'EXECUTE'), false)
""")
_READ_PLACE = text("""
    SELECT CAST(system_identifier AS text),
        (SELECT CAST(oid AS text) FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()
""")
_READ = text("""
    SELECT name, system_identifier, database_oid,
        xid % 4294967296 = CAST(CAST(xmin AS text) AS bigint) AS is_as_written
    FROM installation
""")
_READ_ID = text("SELECT name FROM installation")
_WRITE = text("""
    INSERT INTO installation (name, system_identifier, database_oid, xid)
    VALUES (:name, :system_identifier, :database_oid,
        CAST(CAST(pg_current_xact_id() AS text) AS bigint))
    ON CONFLICT (is_only) DO UPDATE SET
        name = excluded.name, system_identifier = excluded.system_identifier,
        database_oid = excluded.database_oid, xid = excluded.xid, made_at = excluded.made_at
""")


class DatabaseIdentity(NamedTuple):
    """Where a database is: on which server, and which of its databases."""

    system_identifier: str
    database_oid: str


async def read_installation(database: AsyncConnection | AsyncSession) -> str:
    """The installation's id; the database must have been migrated."""
    found: str = (await database.execute(_READ_ID)).scalar_one()
    return found


async def keep_installation(connection: AsyncConnection) -> None:
    """Makes the id if there is none, and another one if this database is a copy.

    A copy goes on counting its events where the original does, so under the same id two events
    would have one `webhook-id`, and their receivers would drop the second. A server that does not
    say which one it is cannot be told from another, and then the id stays.

    The caller holds the lock that keeps others from migrating.
    """
    here = await _read_place(connection)
    row = (await connection.execute(_READ)).one_or_none()
    if row is None:
        await _write(connection, secrets.token_hex(_ID_BYTES), here)
        return
    made_for = (row.system_identifier, row.database_oid)
    if here is None or (made_for == here and row.is_as_written):
        return
    if made_for == (None, None) and row.is_as_written:  # now the server says which one it is
        await _write(connection, row.name, here)
        return
    renewed = secrets.token_hex(_ID_BYTES)
    await _write(connection, renewed, here)
    log.warning("installation_renewed", before=row.name, installation=renewed)


async def _read_place(connection: AsyncConnection) -> DatabaseIdentity | None:
    """None where the service's role may not ask."""
    if not await connection.scalar(_MAY_READ_PLACE):
        return None
    return DatabaseIdentity(*(await connection.execute(_READ_PLACE)).one())


async def _write(connection: AsyncConnection, name: str, place: DatabaseIdentity | None) -> None:
    values = {
        "name": name,
        "system_identifier": None if place is None else place.system_identifier,
        "database_oid": None if place is None else place.database_oid,
    }
    await connection.execute(_WRITE, values)
