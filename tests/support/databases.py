"""Runs one PostgreSQL for the whole session, and gives each test a database of its own.

With EVENT_TRIGGER_TEST_ON_CITUS=1 it is a Citus cluster, over which every database is spread.
"""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
from sqlalchemy import make_url

from event_trigger.db.embedded.server import running_postgres

ON_CITUS = "EVENT_TRIGGER_TEST_ON_CITUS"
WORKERS_OF: dict[str, Sequence[str]] = {}  # the workers' URLs, by that of a running coordinator
_numbers = count(1)
_MEMORY, _ENOUGH = Path("/dev/shm"), 2 * 1024**3  # bytes


@contextmanager
def postgres_server() -> Iterator[str]:
    """Runs a server without fsync, and gives its URL; EVENT_TRIGGER_PG_BIN chooses its version."""
    if os.environ.get(ON_CITUS):
        from tests.support.cluster import running_cluster  # noqa: PLC0415 - it imports this module

        with running_cluster() as cluster:
            yield cluster.url
        return
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
    for node in (server_url, *_workers_of(server_url)):
        connection = await connect(in_database(node, "postgres"))
        try:
            copying = " STRATEGY FILE_COPY" if connection.get_server_version().major >= 15 else ""
            await connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}{copying}")
        finally:
            await connection.close()
    return in_database(server_url, name)


async def drop_database(url: str) -> None:
    for node in (url, *_workers_of(url)):
        connection = await connect(in_database(node, "postgres"))
        try:
            await connection.execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")
        finally:
            await connection.close()


def _workers_of(url: str) -> Sequence[str]:
    return WORKERS_OF.get(in_database(url, "postgres"), ())


@asynccontextmanager
async def fresh_database(server_url: str, *, template: str) -> AsyncIterator[str]:
    url = await create_database(server_url, template=template)
    try:
        yield url
    finally:
        await drop_database(url)


def make_template(
    server_url: str, fill: Callable[[str], Awaitable[None]], *, template: str = "template1"
) -> str:
    """Fills a new database once, and gives its name as a template for others."""

    async def make() -> str:
        url = await create_database(server_url, template=template)
        await fill(url)
        if in_database(server_url, "postgres") in WORKERS_OF:
            from tests.support.cluster import close, spread  # noqa: PLC0415 - it imports this module

            if template == "template1":
                await spread(url)
            await close(url)
        name = make_url(url).database
        assert name is not None
        return name

    return asyncio.run(make())
