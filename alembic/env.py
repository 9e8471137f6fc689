"""Runs migrations on the connection from `db/migrate.py`, or by hand on DATABASE_URL.

The connection must be outside of a transaction: Alembic begins one itself, and a concurrent index
build has to commit it.
"""

import asyncio

from alembic import context
from sqlalchemy import Connection

from event_trigger.config import Settings
from event_trigger.db.engine import create_maintenance_engine
from event_trigger.db.migrate import run_giving_way
from event_trigger.db.urls import asyncpg_url
from event_trigger.models import Base


def include_name(name: str | None, type_: str, _: object) -> bool:
    """Leaves out the partitions of events, which the service makes and drops itself."""
    return not (type_ == "table" and name is not None and name.startswith("events_p"))


def run(connection: Connection) -> None:
    context.configure(
        connection=connection, target_metadata=Base.metadata, include_name=include_name
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_by_hand() -> None:
    url = Settings().database_url
    if url is None:
        raise SystemExit("Set DATABASE_URL to the database that alembic should work on.")
    engine = create_maintenance_engine(asyncpg_url(url.get_secret_value()))
    async with engine.connect() as connection:
        await run_giving_way(connection, run)
    await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_by_hand())
