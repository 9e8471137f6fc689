"""Migrations build indexes concurrently, also after a failed build, and one replica at a time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.db.engine import create_engine
from event_trigger.db.migrate import migrate
from event_trigger.db.revisions import newest_revision
from tests.support.databases import connect
from tests.support.migrations import folder_with

INDEX = "ix_test"


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(database_url)
    yield made
    await made.dispose()


def folder_with_index(path: Path, arguments: str) -> Path:
    return folder_with(path, f'create_index_concurrently("{INDEX}", {arguments})')


async def validity(database: Any, index: str = INDEX) -> bool | None:
    valid: bool | None = await database.fetchval(
        "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass($1)", index
    )
    return valid


async def revision(database: Any) -> str:
    found: str = await database.fetchval("SELECT version_num FROM alembic_version")
    return found


async def test_an_index_is_built_beside_a_writer(
    tmp_path: Path, engine: AsyncEngine, database: Any, database_url: str
) -> None:
    folder = folder_with_index(tmp_path, '"users", ["role", "id"], where="disabled_at IS NULL"')
    writer = await connect(database_url)
    transaction = writer.transaction()
    await transaction.start()
    await writer.execute("UPDATE users SET role = role")

    migrating = asyncio.create_task(migrate(engine, folder=folder))
    while await validity(database) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    await database.execute(
        "INSERT INTO users (email, password_hash, role) VALUES ('new@example.com', '', 'user')"
    )
    during = await validity(database)
    await transaction.commit()
    await migrating

    assert during is False  # it waited for the first writer, and did not block the second
    assert await validity(database) is True
    assert await revision(database) == "test"
    await writer.close()


async def test_a_failed_build_is_repeated_at_the_next_start(
    tmp_path: Path, engine: AsyncEngine, database: Any
) -> None:
    folder = folder_with_index(tmp_path, '"users", ["password_hash"], unique=True')
    await database.execute("UPDATE users SET password_hash = 'same'")

    with pytest.raises(IntegrityError):
        await migrate(engine, folder=folder)
    after_failure = (await validity(database), await revision(database))
    await database.execute("UPDATE users SET password_hash = id::text")
    await migrate(engine, folder=folder)

    assert after_failure == (False, newest_revision())
    assert (await validity(database), await revision(database)) == (True, "test")


async def test_a_valid_index_is_kept(tmp_path: Path, engine: AsyncEngine, database: Any) -> None:
    await database.execute(f"CREATE INDEX {INDEX} ON users (role)")
    before = await database.fetchval(f"SELECT '{INDEX}'::regclass::oid")

    await migrate(engine, folder=folder_with_index(tmp_path, '"users", ["role"]'))

    assert await database.fetchval(f"SELECT '{INDEX}'::regclass::oid") == before
    assert await revision(database) == "test"


async def test_several_replicas_build_an_empty_database_and_its_index_at_once(
    tmp_path: Path, empty_url: str
) -> None:
    folder = folder_with_index(tmp_path, '"users", ["role"]')
    engines = [create_engine(empty_url) for _ in range(4)]

    await asyncio.gather(*(migrate(one, folder=folder) for one in engines))

    database = await connect(empty_url)
    assert (await validity(database), await revision(database)) == (True, "test")
    await database.close()
    for one in engines:
        await one.dispose()


async def test_the_index_of_a_partitioned_table_takes_over_those_of_its_partitions(
    tmp_path: Path, engine: AsyncEngine, database: Any
) -> None:
    folder = folder_with_index(tmp_path, '"events", ["shard", "replay_of"], partitioned=True')
    await migrate(engine, folder=folder)

    partitions = await database.fetch(
        "SELECT inhrelid::regclass::text AS name FROM pg_inherits"
        " WHERE inhparent = 'events'::regclass"
    )
    attached = await database.fetchval(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = $1::text::regclass", INDEX
    )
    assert len(partitions) == attached > 0
    assert await validity(database) is True
    assert all([await validity(database, f"{INDEX}_{row['name']}") for row in partitions])
