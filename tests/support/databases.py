"""Runs one PostgreSQL for the whole session, and gives each test a database of its own."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from sqlalchemy import make_url

from event_trigger.db.embedded.server import running_postgres

_numbers = count(1)
_MEMORY, _ENOUGH = Path("/dev/shm"), 2 * 1024**3  # bytes


@contextmanager
def postgres_server() -> Iterator[str]:
    """Runs a server without fsync, and gives its URL; EVENT_TRIGGER_PG_BIN chooses its version."""
    with TemporaryDirectory(
        prefix="event-trigger-tests-", dir=in_memory(), ignore_cleanup_errors=True
    ) as folder:
        Path(folder).chmod(0o755)
        with running_postgres(Path(folder) / "data", durable=False) as url:
            yield url


def in_memory() -> Path | None:
    """Gives a folder in memory, where a database is copied 20 times as fast as on a disk."""
    if os.access(_MEMORY, os.W_OK) and shutil.disk_usage(_MEMORY).free > _ENOUGH:
        return _MEMORY
    return None


def in_database(server_url: str, name: str) -> str:
    return make_url(server_url).set(database=name).render_as_string(hide_password=False)


async def connect(url: str) -> Any:
    """Opens a connection beside the service's, to read its tables or to hold locks against it."""
    parsed = make_url(url)
    return await asyncpg.connect(
        user=parsed.username, database=parsed.database, **dict(parsed.query)
    )


async def now_of(database: Any) -> datetime:
    """Gives the database's time at this moment."""
    now: datetime = await database.fetchval("SELECT clock_timestamp()")
    return now


async def create_database(server_url: str, *, template: str = "template1") -> str:
    name = f"test_{next(_numbers)}"
    connection = await connect(in_database(server_url, "postgres"))
    try:
        copying = " STRATEGY FILE_COPY" if connection.get_server_version().major >= 15 else ""
        await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}{copying}")
    finally:
        await connection.close()
    return in_database(server_url, name)


async def drop_database(url: str) -> None:
    connection = await connect(in_database(url, "postgres"))
    try:
        await connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")
    finally:
        await connection.close()


@asynccontextmanager
async def fresh_database(server_url: str, *, template: str) -> AsyncIterator[str]:
    url = await create_database(server_url, template=template)
    try:
        yield url
    finally:
        await drop_database(url)


def make_template(server_url: str, fill: Callable[[str], Awaitable[None]]) -> str:
    """Fills a new database once, and gives its name as a template for others."""

    async def make() -> str:
        url = await create_database(server_url)
        await fill(url)
        name = make_url(url).database
        assert name is not None
        return name

    return asyncio.run(make())
