"""A migration that has to wait for a lock lets calls through, and tries again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import DBAPIError

from event_trigger.db.engine import create_engine
from event_trigger.db.migrate import migrate
from tests.support.databases import connect
from tests.support.migrations import folder_with
from tests.support.waiting import eventually

ADD_TO_LOGINS = 'op.execute("ALTER TABLE logins ADD COLUMN test int")'
ADD_TO_USERS = 'op.execute("ALTER TABLE users ADD COLUMN test int")'
_WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'users'::regclass"
_WITH_COLUMN = """
    SELECT relname FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
    WHERE attname = 'test' ORDER BY relname
"""


async def tables_with_column(database: Any) -> list[str]:
    return [row["relname"] for row in await database.fetch(_WITH_COLUMN)]


async def test_calls_go_on_while_a_migration_waits_for_a_long_reader(
    tmp_path: Path, database: Any, database_url: str
) -> None:
    engine, reader = create_engine(database_url), await connect(database_url)
    transaction = reader.transaction()
    await transaction.start()
    await reader.execute("SELECT FROM users")
    await database.execute("SET lock_timeout = '30s'")  # instead of hanging

    folder = folder_with(tmp_path, ADD_TO_LOGINS, ADD_TO_USERS)
    migrating = asyncio.create_task(migrate(engine, folder=folder))
    await eventually(lambda: database.fetchval(_WAITING), lambda waiting: waiting == 1)
    for table in ("users", "logins"):  # one is waited for, the other is altered already
        await database.execute(f"SELECT FROM {table}")
    during = await tables_with_column(database)
    await transaction.rollback()
    await migrating

    assert during == []
    assert await tables_with_column(database) == ["logins", "users"]
    await asyncio.gather(engine.dispose(), reader.close())


async def test_a_migration_that_is_wrong_is_not_tried_again(
    tmp_path: Path, database: Any, database_url: str
) -> None:
    engine = create_engine(database_url)

    with pytest.raises(DBAPIError, match="nothing"):
        await migrate(
            engine, folder=folder_with(tmp_path, ADD_TO_LOGINS, 'op.execute("SELECT nothing")')
        )

    assert await tables_with_column(database) == []
    await engine.dispose()
