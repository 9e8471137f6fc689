"""Reads what a database server and the service's role on it are like, in one statement."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Text

from event_trigger.db.free_connections import count_free
from event_trigger.models import Base, Event

# partitions of the log are dropped and attached, which only their owner may do
_READ = text("""
    WITH ours AS (
        SELECT relname, relowner FROM pg_class
        WHERE relnamespace = to_regnamespace(quote_ident(current_schema()))
            AND relkind IN ('r', 'p')
            AND (relname = ANY(:tables)
                OR oid IN (SELECT inhrelid FROM pg_inherits
                    WHERE inhparent = to_regclass(:log)))
    )
    SELECT CAST(current_setting('server_version_num') AS int) / 10000 AS major,
        current_user AS role, current_schema() AS schema, current_database() AS database,
        getdatabaseencoding() AS encoding, clock_timestamp() AS now,
        pg_is_in_recovery() OR current_setting('transaction_read_only') = 'on' AS is_read_only,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create,
        coalesce(has_function_privilege(
            CAST(to_regprocedure('pg_control_system()') AS oid), 'EXECUTE'), false)
            AS may_read_identity,
        ARRAY(SELECT CAST(relname AS text) FROM ours
            WHERE NOT pg_has_role(relowner, 'USAGE') ORDER BY relname) AS foreign_tables
""").bindparams(bindparam("tables", type_=ARRAY(Text)))


class ServerFacts(NamedTuple):
    """The server, the database, and the rights of the role; `now` is the database's clock."""

    major: int
    role: str
    schema: str | None
    database: str
    encoding: str
    now: datetime
    is_read_only: bool
    may_create: bool
    may_read_identity: bool
    foreign_tables: list[str]


async def read_facts(connection: AsyncConnection) -> ServerFacts:
    names = {"tables": list(Base.metadata.tables), "log": Event.__tablename__}
    return ServerFacts(*(await connection.execute(_READ, names)).one())


async def free_connections(connection: AsyncConnection) -> float:
    """Returns how many more connections there may be; infinity behind a pooler."""
    raw = await connection.get_raw_connection()
    return await count_free(raw.driver_connection)
