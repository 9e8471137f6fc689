"""Measures memory and CPU time of the service and of PostgreSQL, and the WAL of some work."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import psutil

from tests.faults.site import Site
from tests.support.databases import connect

MIB = 1024 * 1024


@dataclass
class Wal:
    """Bytes of WAL; set when the body of `wal_of` has ended."""

    written: int = 0


class Cpu(NamedTuple):
    """CPU seconds of a service, of PostgreSQL, and of the load generator (this process)."""

    service: float
    postgres: float
    load: float

    def since(self, before: "Cpu") -> "Cpu":
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))


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
    return memory_of(processes_of(built))


def processes_of(built: Site) -> list[psutil.Process]:
    """Lists the processes of all replicas that run, their workers included."""
    running = [one for one in built.replicas if one.process.poll() is None]
    return [process for one in running for process in one.family()]


def memory_of_postgres() -> int:
    return sum(memory_of([one, *one.children()]) for one in _postmasters())


def cpu_of(service: Iterable[psutil.Process]) -> Cpu:
    """Reads the times so far; PostgreSQL's ended processes count with the postmaster."""
    postgres = 0.0
    for one in _postmasters():
        postgres += _spent([one, *one.children()]) + one.cpu_times().children_user
    return Cpu(_spent(service), postgres, _spent([psutil.Process()]))


def _spent(processes: Iterable[psutil.Process]) -> float:
    """Adds up CPU seconds, without processes that have ended since they were listed."""
    spent = 0.0
    for one in processes:
        with suppress(psutil.NoSuchProcess):
            times = one.cpu_times()
            spent += times.user + times.system
    return spent


def _postmasters() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if one.name() == "postgres"]
