"""Measures the memory of the service and of PostgreSQL, and the WAL that some work writes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import psutil

from tests.faults.site import Site
from tests.support.databases import connect

MIB = 1024 * 1024


@dataclass
class Wal:
    """Bytes of WAL; set when the body of `wal_of` has ended."""

    written: int = 0


@asynccontextmanager
async def connected(built: Site) -> AsyncIterator[Any]:
    database = await connect(built.url)
    try:
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def wal_of(database: Any) -> AsyncIterator[Wal]:
    """Counts the WAL that the whole server writes during the body."""
    wal, began = Wal(), await database.fetchval("SELECT pg_current_wal_insert_lsn()")
    yield wal
    wal.written = int(
        await database.fetchval("SELECT pg_current_wal_insert_lsn() - $1::pg_lsn", began)
    )


def memory_of(processes: list[psutil.Process]) -> int:
    """Returns the bytes that are not shared, so that shared memory is not counted repeatedly."""
    total = 0
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().uss
    return total


def memory_of_service(built: Site) -> int:
    return sum(memory_of(one.family()) for one in built.replicas if one.process.poll() is None)


def memory_of_postgres() -> int:
    postmasters = [one for one in psutil.Process().children() if one.name() == "postgres"]
    return sum(memory_of([one, *one.children()]) for one in postmasters)
