"""Statements straight on a connection end as those of a session do, whatever happens in between."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from event_trigger.db.engine import create_engine
from event_trigger.db.plain_session import PlainReads, PlainSession, Planning
from event_trigger.errors import Invalid
from tests.support.one_server import one_server
from tests.support.planting import plant_triggers
from tests.support.services import ADA

ONE = text("SELECT 1")
PREPARED_AT = text("""
    SELECT array_agg(prepare_time) FROM pg_prepared_statements WHERE statement = 'SELECT 1'
""")

BY_IDS = text("""
    SELECT found.name FROM unnest(CAST(:ids AS bigint[])) AS wanted (id) CROSS JOIN LATERAL (
        SELECT name FROM triggers WHERE shard = :shard AND triggers.id = wanted.id OFFSET 0
    ) AS found
""")
PREPARED = text("""
    SELECT name FROM pg_prepared_statements WHERE statement ~ '^\\s+SELECT found.name'
    ORDER BY prepare_time DESC LIMIT 1
""")


class Stopped(BaseException):
    """Ends a body as the end of a process does."""


@pytest.fixture
async def reads(database_url: str) -> AsyncIterator[PlainReads]:
    engine = create_engine(database_url, connections=1)
    yield PlainReads(engine)
    await engine.dispose()


async def test_a_transaction_whose_statement_has_failed_does_not_end_as_if_it_were_stored(
    reads: PlainReads,
) -> None:
    async def swallow_an_error() -> None:
        async with reads.begin() as session:
            with suppress(asyncpg.PostgresError):
                await session.execute(text("SELECT 1 / 0"))

    with pytest.raises(RuntimeError, match="rolled back"):
        await swallow_an_error()

    assert await reads.scalar(ONE) == 1


async def test_a_connection_that_is_left_inside_a_transaction_is_not_lent_again(
    reads: PlainReads, database: Any
) -> None:
    with suppress(Stopped):
        async with reads.begin() as session:
            await session.execute(text("LOCK TABLE users"))
            raise Stopped

    assert await reads.scalar(ONE) == 1
    await database.execute("BEGIN; LOCK TABLE users; COMMIT")  # or it would wait


async def test_a_refusal_drops_no_plans_and_an_error_of_the_database_does(
    reads: PlainReads,
) -> None:
    await reads.execute(ONE)
    at_first = await reads.scalar(PREPARED_AT)
    with suppress(Invalid):
        async with reads.open():
            raise Invalid("This is the cursor of another list.")
    await reads.execute(ONE)
    after_refusal = await reads.scalar(PREPARED_AT)
    with suppress(asyncpg.PostgresError):
        await reads.execute(text("SELECT 1 / 0"))
    await reads.execute(ONE)

    assert at_first == after_refusal
    assert await reads.scalar(PREPARED_AT) != at_first


@one_server("workers make the plans of a cluster")
async def test_a_plan_that_was_made_on_an_empty_table_is_made_again_as_it_grows(
    reads: PlainReads, database: Any
) -> None:
    values = {"shard": ADA, "ids": [1, 2]}

    async def planned(session: PlainSession) -> str:
        [(name,)] = await session.execute(PREPARED)
        rows = await session.execute(text(f'EXPLAIN EXECUTE "{name}" (NULL, {ADA})'))
        return "\n".join(line for (line,) in rows)

    async with reads.open() as session:
        await session.plan(Planning.GENERIC)
        await session.execute(BY_IDS, values)
        at_first = await planned(session)
        await plant_triggers(database, 20_000)
        for _ in range(40):
            await session.execute(BY_IDS, values)
        later = await planned(session)

    assert "ix_triggers_owner_kind" in at_first
    assert "pk_triggers" in later


async def test_arrays_arrive_as_they_are_whatever_their_elements(reads: PlainReads) -> None:
    arrays = {"bigs": [2**62, None, -1], "small": (7,), "none": [], "yes": [True, None, False]}
    asked = text("""
        SELECT CAST(:bigs AS bigint[]), CAST(:small AS smallint[]), CAST(:none AS bigint[]),
            CAST(:yes AS boolean[]), CAST(:texts AS text[]), CAST(:missing AS bigint[]),
            CAST(:both AS bigint[]), cardinality(:both)
    """)
    texts, both = ["None", '{"a": "\\"}"}', None], [1, 2]

    rows = await reads.execute(asked, {**arrays, "texts": texts, "missing": None, "both": both})

    assert [*rows.one()] == [*map(list, arrays.values()), texts, None, both, 2]
