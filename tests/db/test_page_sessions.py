"""Pages share a few sessions: nobody loses a turn when another one fails or leaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import TimeoutError as PoolTimeout

from event_trigger.db.engine import create_engine, sqlstate
from event_trigger.db.page_sessions import PageSessions
from event_trigger.db.plain_session import PlainReads

BACKEND = text("SELECT pg_backend_pid()")


@pytest.fixture
async def reads(database_url: str) -> AsyncIterator[PlainReads]:
    engine = create_engine(database_url, connections=5)
    yield PlainReads(engine)
    await engine.dispose()


@pytest.fixture
def pages(reads: PlainReads) -> PageSessions:
    return PageSessions(reads, most=2)


async def read(pages: PageSessions) -> int:
    async with pages.open() as session:
        backend: int = await session.scalar(BACKEND)
        return backend


async def test_many_pages_are_read_over_few_connections(pages: PageSessions) -> None:
    backends = await asyncio.gather(*(read(pages) for _ in range(50)))

    assert len(backends) == 50
    assert len({*backends}) <= 2


async def test_a_failure_ends_one_page_alone(pages: PageSessions) -> None:
    async def fail(statement: str) -> Any:
        async with pages.open() as session:
            return await session.execute(text(statement))

    kinds = ["SELECT 1 / 0", "SELECT pg_terminate_backend(pg_backend_pid())", "SELECT 1"]
    found = await asyncio.gather(*(fail(one) for one in kinds * 4), return_exceptions=True)

    assert [isinstance(one, Exception) for one in found] == [True, True, False] * 4
    assert len({await read(pages) for _ in range(4)}) <= 2


async def test_a_caller_that_leaves_takes_nobody_elses_turn(pages: PageSessions) -> None:
    waiting = [asyncio.create_task(read(pages)) for _ in range(20)]
    await asyncio.sleep(0)
    for number, one in enumerate(waiting):
        if number % 3:
            one.cancel()
    found = await asyncio.gather(*waiting, return_exceptions=True)

    assert all(isinstance(one, int) for one in found[::3])
    async with pages.open() as first, pages.open() as second:
        assert await first.scalar(BACKEND) != await second.scalar(BACKEND)


async def test_a_page_that_waits_too_long_is_told_so(reads: PlainReads) -> None:
    pages = PageSessions(reads, most=2, waits=0.05)
    async with pages.open(), pages.open():
        with pytest.raises(PoolTimeout):
            await read(pages)

    assert await read(pages)


async def test_a_transaction_whose_backend_ends_raises_the_reason_of_the_server(
    reads: PlainReads,
) -> None:
    with pytest.raises(asyncpg.PostgresError) as caught:
        async with reads.begin() as session:
            await session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    assert sqlstate(caught.value) in {"57P01", "08003"}
    assert await reads.scalar(text("SELECT 1")) == 1
