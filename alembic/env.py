"""Runs migrations on the connection it is handed, or on DATABASE_URL for a person."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from event_trigger.config import Settings
from event_trigger.db.engine import create_engine
from event_trigger.models import Base


def include_name(name: str | None, type_: str, _: object) -> bool:
    """Partitions of the events come and go by themselves."""
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
    engine = create_engine(url.get_secret_value())
    async with engine.begin() as connection:
        await connection.run_sync(run)
    await engine.dispose()


handed_over = context.config.attributes.get("connection")
if handed_over is not None:
    run(handed_over)
else:
    asyncio.run(run_by_hand())
