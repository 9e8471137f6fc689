"""Keeps the installation's id: made once for a database, and replaced in a copy of it."""

import secrets
from typing import NamedTuple

import structlog
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

log = structlog.get_logger()

_ID_BYTES = 8
_MAY_READ_IDENTITY = text("""
    SELECT coalesce(has_function_privilege(
        CAST(to_regprocedure('pg_control_system()') AS oid), 'EXECUTE'), false)
""")
_READ_IDENTITY = text("""
    SELECT CAST(system_identifier AS text),
        (SELECT CAST(oid AS text) FROM pg_database WHERE datname = current_database())
    FROM pg_control_system()
""")
_READ_INSTALLATION = text("""
    SELECT name, system_identifier, database_oid,
        xid % 4294967296 = CAST(CAST(xmin AS text) AS bigint) AS is_as_written
    FROM installation
""")
_READ_ID = text("SELECT name FROM installation")
_WRITE_INSTALLATION = text("""
    INSERT INTO installation (name, system_identifier, database_oid, xid)
    VALUES (:name, :system_identifier, :database_oid,
        CAST(CAST(pg_current_xact_id() AS text) AS bigint))
    ON CONFLICT (is_only) DO UPDATE SET
        name = excluded.name, system_identifier = excluded.system_identifier,
        database_oid = excluded.database_oid, xid = excluded.xid, made_at = excluded.made_at
""")


class DatabaseIdentity(NamedTuple):
    """The server (`initdb` run) that a database belongs to, and its oid there."""

    system_identifier: str
    database_oid: str


async def read_installation(database: AsyncConnection | AsyncSession) -> str:
    """Returns the installation's id; the database must be migrated."""
    installation: str = (await database.execute(_READ_ID)).scalar_one()
    return installation


async def keep_installation(connection: AsyncConnection) -> None:
    """Makes the id if there is none, and replaces it if this database is a copy.

    A copy continues the original's event ids. Under the same installation id, two events would
    have one `webhook-id`, and receivers would drop the second. If the role may not read the
    server's identity, a copy on another server cannot be recognised, and the id stays.

    The caller must hold the migration lock.
    """
    here = await _read_identity(connection)
    row = (await connection.execute(_READ_INSTALLATION)).one_or_none()
    if row is None:
        await _write(connection, secrets.token_hex(_ID_BYTES), here)
        return
    made_for = (row.system_identifier, row.database_oid)
    if here is None or (made_for == here and row.is_as_written):
        return
    if made_for == (None, None) and row.is_as_written:  # the identity could not be read before
        await _write(connection, row.name, here)
        return
    renewed = secrets.token_hex(_ID_BYTES)
    await _write(connection, renewed, here)
    log.warning("installation_renewed", before=row.name, installation=renewed)


async def _read_identity(connection: AsyncConnection) -> DatabaseIdentity | None:
    """Returns None if the service's role may not read it."""
    if not await connection.scalar(_MAY_READ_IDENTITY):
        return None
    return DatabaseIdentity(*(await connection.execute(_READ_IDENTITY)).one())


async def _write(connection: AsyncConnection, name: str, identity: DatabaseIdentity | None) -> None:
    values = {
        "name": name,
        "system_identifier": None if identity is None else identity.system_identifier,
        "database_oid": None if identity is None else identity.database_oid,
    }
    await connection.execute(_WRITE_INSTALLATION, values)
