"""A process keeps to its number of connections, closes unused ones, and waits for a full server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import httpx
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.util import greenlet_spawn

from event_trigger.db.engine import create_engine
from event_trigger.db.errors import describe_error
from event_trigger.db.pool import DatabasePool, close_all
from tests.support.databases import connect
from tests.support.one_server import one_server
from tests.support.outages import cable_to
from tests.support.services import ADA, running_service
from tests.support.triggers import make_api, make_scheduled
from tests.support.waiting import eventually

ROLE = "limited"  # PostgreSQL refuses a role beyond its limit as it does everybody beyond its own
PID = text("SELECT pg_backend_pid()")
# and not those of a cluster's nodes
OF_CLIENTS = """
    datname = current_database() AND backend_type = 'client backend'
    AND application_name NOT LIKE 'citus_internal%'
"""


class Limited:
    """A database role whose connection limit can be changed while it is connected."""

    def __init__(self, database: Any, url: str) -> None:
        self.url = make_url(url).set(username=ROLE).render_as_string(hide_password=False)
        self._database = database

    async def allow(self, connections: int) -> None:
        await self._database.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT {connections}")

    async def count(self) -> int:
        count: int = await self._database.fetchval(
            f"SELECT count(*) FROM pg_stat_activity WHERE {OF_CLIENTS} AND usename = $1", ROLE
        )
        return count


@pytest.fixture
async def limited(database: Any, database_url: str) -> AsyncIterator[Limited]:
    owner = make_url(database_url).username
    await database.execute(f"CREATE ROLE {ROLE} LOGIN IN ROLE {owner}")
    yield Limited(database, database_url)
    await database.execute(f"REASSIGN OWNED BY {ROLE} TO {owner}")
    await database.execute(f"DROP ROLE {ROLE}")


async def statuses(client: httpx.AsyncClient, count: int) -> set[int]:
    answers = await asyncio.gather(*(client.get("/triggers") for _ in range(count)))
    return {one.status_code for one in answers}


@one_server("the nodes of a cluster make connections to each other in the same role")
async def test_two_processes_share_a_server_of_few_connections(limited: Limited) -> None:
    await limited.allow(17)  # a server of 20, without those for superusers
    async with running_service(limited.url) as old:
        ada = old.client(ADA)
        busy = await statuses(ada, 30)
        async with running_service(limited.url) as new:
            both = list(await asyncio.gather(statuses(ada, 30), statuses(new.client(ADA), 30)))
            fired = await eventually(
                lambda: ready(new.client()), lambda answer: answer.status_code == 200
            )

    assert busy == {200}
    assert both == [{200}, {200}]
    assert fired.json() == {"status": "ready"}


async def ready(client: httpx.AsyncClient) -> httpx.Response:
    return await client.get("/readyz")


async def test_a_process_with_four_connections_does_all_its_work(limited: Limited) -> None:
    async with running_service(limited.url, database_connections=4) as service:
        ada, most = service.client(ADA), 0
        await make_scheduled(ada, {"interval": "PT1S"})
        await make_api(ada)
        for _ in range(3):
            reading = asyncio.create_task(statuses(ada, 20))
            while not reading.done():
                most = max(most, await limited.count())
                await asyncio.sleep(0.01)
            assert await reading == {200}
        events = await eventually(lambda: events_of(ada), lambda found: len(found) == 1)

    assert most == 4
    assert events[0]["type"] == "scheduled"


async def events_of(client: httpx.AsyncClient) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await client.get("/events")).json()
    return found


async def test_connections_that_nobody_uses_are_closed_and_made_again(
    database_url: str, database: Any
) -> None:
    engine = create_engine(database_url, connections=4)
    pool = engine.pool
    assert isinstance(pool, DatabasePool)

    async def use(_: int) -> int:
        async with engine.connect() as connection:
            await asyncio.sleep(0.05)
            return int((await connection.execute(PID)).scalar_one())

    used = set(await asyncio.gather(*map(use, range(4))))
    await greenlet_spawn(pool.close_unused, 60.0)
    async with engine.connect() as held:
        kept = (await held.execute(PID)).scalar_one()
        await greenlet_spawn(pool.close_unused, 0.0)
        alone = await eventually(lambda: sessions_of(database), lambda pids: len(pids) == 1)
        again = (await held.execute(PID)).scalar_one()
    after = set(await asyncio.gather(*map(use, range(4))))
    await engine.dispose()

    assert len(used) == 4
    assert {kept} == alone == {again}
    assert kept in used
    assert len(after) == 4


async def sessions_of(database: Any) -> set[int]:
    rows = await database.fetch(
        "SELECT pid FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'event-trigger'"
    )
    return {row["pid"] for row in rows}


async def test_who_needs_a_connection_that_the_server_has_not_waits_for_one(
    limited: Limited,
) -> None:
    await limited.allow(1)
    other = await connect(limited.url)
    engine = create_engine(limited.url, connections=3)

    async def use() -> int:
        async with engine.connect() as connection:
            return int((await connection.execute(PID)).scalar_one())

    waiting = [asyncio.create_task(use()) for _ in range(6)]
    _, still = await asyncio.wait(waiting, timeout=0.5)
    await other.close()
    used = await asyncio.gather(*waiting)
    await engine.dispose()

    assert len(still) == 6
    assert len(set(used)) == 1  # the server has no second one: they take turns


async def test_who_is_cancelled_while_waiting_leaves_its_turn_to_others(database_url: str) -> None:
    engine = create_engine(database_url, connections=1)

    async def use() -> int:
        async with engine.connect() as connection:
            return int((await connection.execute(PID)).scalar_one())

    async with engine.connect():
        waiting = [asyncio.create_task(use()) for _ in range(6)]
        await asyncio.sleep(0.05)
        for one in waiting[::2]:
            one.cancel()
    waiting[1].cancel()  # it has just been handed the connection
    ended = await asyncio.gather(*waiting, return_exceptions=True)
    status = engine.pool.status()
    await engine.dispose()

    assert [isinstance(one, int) for one in ended] == [False, False, False, True, False, True]
    assert status.endswith("Current Checked out connections: 0")


async def test_a_server_without_a_connection_left_is_said_in_words(
    limited: Limited, database: Any
) -> None:
    async with running_service(limited.url) as service:
        ada = service.client(ADA)
        assert await statuses(ada, 1) == {200}
        await limited.allow(0)
        async with database.transaction():
            await database.execute("LOCK TABLE triggers IN ACCESS EXCLUSIVE MODE")
            answers = await asyncio.gather(*(ada.get("/triggers") for _ in range(3)))
        unready = await service.client().get("/readyz")

    said = {one.json()["detail"] for one in answers if one.status_code == 503}
    assert any(one.startswith("No database connection was free in time") for one in said)
    assert "the database server has no connection left (53300)" in unready.json()["detail"]


async def test_the_servers_own_words_are_kept(limited: Limited) -> None:
    await limited.allow(0)
    engine = create_engine(limited.url, connections=1)

    with pytest.raises(DBAPIError) as refused:
        async with engine.connect():
            pass
    await engine.dispose()

    assert describe_error(refused.value) == (
        f'the server has no connection left: too many connections for role "{ROLE}" (53300)'
    )


async def test_the_end_closes_connections_that_a_task_still_has(limited: Limited) -> None:
    engine = create_engine(limited.url)

    async def work() -> None:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT pg_sleep(0.3)"))

    working = asyncio.create_task(work())
    await eventually(limited.count, lambda count: count == 1)
    await close_all(engine)
    await working

    assert await eventually(limited.count, lambda count: count == 0) == 0


async def others(database: Any, *, asking: str = "") -> int:
    """Counts the other sessions of the database, or those whose last statement has these words."""
    count: int = await database.fetchval(
        f"SELECT count(*) FROM pg_stat_activity WHERE {OF_CLIENTS} AND pid <> pg_backend_pid()"
        " AND query LIKE '%' || $1 || '%'",
        asking,
    )
    return count


async def test_a_connection_that_is_returned_after_the_end_is_closed(
    database_url: str, database: Any
) -> None:
    engine = create_engine(database_url, connections=1)
    async with engine.connect() as lent:
        await lent.execute(PID)
        await engine.dispose()

    await eventually(lambda: others(database), lambda count: count == 0)


async def test_a_first_connection_whose_caller_gives_up_is_closed(
    database_url: str, database: Any
) -> None:
    async with cable_to(database_url) as (cable, url):
        cable.mistaken = {b"SELECT pg_backend_pid()": b"SELECT pg_sleep(100000)"}
        engine = create_engine(url, connections=1)
        connecting = asyncio.create_task(engine.connect().__aenter__())
        await eventually(lambda: others(database, asking="pg_sleep(100000)"), bool)

        connecting.cancel()
        with suppress(asyncio.CancelledError):
            await connecting

        await eventually(lambda: others(database), lambda count: count == 0)
        await engine.dispose()
