"""Sessions have timeouts, and outages are recognised."""

from typing import Any

import asyncpg
import psutil
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from event_trigger.db.engine import (
    create_engine,
    create_sessions,
    is_outage,
    sqlstate,
)
from tests.support.outages import cable_to

PID = text("SELECT pg_backend_pid()")


async def test_every_session_has_its_limits(database_url: str) -> None:
    engine = create_engine(database_url)
    limits = {}

    async with engine.connect() as connection:
        for name in (
            "lock_timeout",
            "statement_timeout",
            "idle_in_transaction_session_timeout",
            "timezone",
            "application_name",
        ):
            limits[name] = (await connection.execute(text(f"SHOW {name}"))).scalar_one()
    await engine.dispose()

    assert limits == {
        "lock_timeout": "5s",
        "statement_timeout": "30s",
        "idle_in_transaction_session_timeout": "5s",
        "timezone": "UTC",
        "application_name": "event-trigger",
    }


def wrapped(error: BaseException, *, invalidated: bool = False) -> DBAPIError:
    return DBAPIError("SELECT", {}, error, connection_invalidated=invalidated)


@pytest.mark.parametrize(
    ("error", "outage"),
    [
        (ConnectionRefusedError(), True),
        (TimeoutError(), True),
        (PoolTimeout(), True),
        (asyncpg.InterfaceError("connection is closed"), True),
        (asyncpg.InternalClientError("another operation is in progress"), True),
        (asyncpg.TooManyConnectionsError(""), True),
        (asyncpg.CannotConnectNowError(""), True),
        (asyncpg.AdminShutdownError(""), True),
        (asyncpg.DeadlockDetectedError(""), True),
        (asyncpg.LockNotAvailableError(""), True),
        (asyncpg.DiskFullError(""), True),
        (asyncpg.QueryCanceledError(""), True),
        (asyncpg.IdleInTransactionSessionTimeoutError(""), True),
        (asyncpg.ReadOnlySQLTransactionError(""), True),
        (asyncpg.InvalidPasswordError(""), True),
        (asyncpg.InvalidCatalogNameError(""), True),
        (asyncpg.CheckViolationError(""), True),  # an event for which there is no partition
        (wrapped(ValueError(), invalidated=True), True),
        (asyncpg.UniqueViolationError(""), False),
        (asyncpg.RaiseError(""), False),
        (asyncpg.UndefinedTableError(""), False),
        (asyncpg.DataError(""), False),
        (wrapped(ValueError()), False),
        (ValueError(), False),
        (KeyError(), False),
        (RecursionError(), False),
    ],
    ids=repr,
)
def test_an_outage_is_the_databases_and_not_the_statements(
    error: BaseException, outage: bool
) -> None:
    assert is_outage(error) is outage


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError(""), wrapped(Exception())])
def test_a_sqlstate_is_five_characters_or_none(error: BaseException) -> None:
    assert len(sqlstate(error)) in (0, 5)


async def test_a_statement_that_fails_says_nothing_of_its_parameters(database_url: str) -> None:
    engine = create_engine(database_url)

    with pytest.raises(DBAPIError) as failed:
        async with engine.connect() as connection:
            await connection.execute(text("SELECT CAST(:x AS int) + :y"), {"x": 1, "y": "canary"})
    await engine.dispose()

    assert "'canary'" not in str(failed.value).split("[SQL", 1)[1]


async def test_connections_that_ended_while_they_rested_are_replaced(
    database_url: str, database: Any
) -> None:
    engine = create_engine(database_url, connections=2)
    async with engine.connect() as one, engine.connect() as other:
        pids = [(await each.execute(PID)).scalar_one() for each in (one, other)]

    for pid in pids:
        await database.execute("SELECT pg_terminate_backend($1::int, 5000)", pid)
    async with engine.connect() as one, engine.connect() as other:
        now = [(await each.execute(PID)).scalar_one() for each in (one, other)]
    await engine.dispose()

    assert not set(now) & set(pids)


async def test_one_that_fell_silent_while_it_rested_is_replaced(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("event_trigger.db.engine.CHECK_AFTER_SECONDS", 0.0)
    engine = create_engine(database_url, connections=1, answer_within=1.0)
    async with engine.connect() as one:
        silent = psutil.Process((await one.execute(PID)).scalar_one())

    silent.suspend()
    try:
        async with engine.connect() as one:
            pid = (await one.execute(PID)).scalar_one()
    finally:
        silent.resume()
    await engine.dispose()

    assert pid != silent.pid


async def test_only_a_connection_that_rested_is_asked(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(database_url, connections=1)
    ping, pinged = engine.dialect.do_ping, 0

    def count_pings(connection: Any) -> bool:
        nonlocal pinged
        pinged += 1
        return ping(connection)

    monkeypatch.setattr(engine.dialect, "do_ping", count_pings)
    seen = []
    for rested in (60.0, 60.0, 0.0):
        monkeypatch.setattr("event_trigger.db.engine.CHECK_AFTER_SECONDS", rested)
        async with engine.connect() as one:
            await one.execute(PID)
        seen.append(pinged)
    await engine.dispose()

    assert seen == [0, 0, 1]


@pytest.mark.parametrize("word", [b"ROLLBACK", b"COMMIT"])
async def test_a_connection_whose_transaction_cannot_be_ended_is_replaced(
    database_url: str, word: bytes
) -> None:
    async with cable_to(database_url) as (cable, url):
        engine = create_engine(url, connections=1)
        async with create_sessions(engine)() as session:
            pid = (await session.execute(PID)).scalar_one()
            cable.mistaken[word] = word[::-1]
            with pytest.raises(DBAPIError, match=word[::-1].decode()) as failed:
                await (session.commit() if word == b"COMMIT" else session.close())
        cable.mistaken.clear()
        left = engine.pool.status()
        async with engine.connect() as one:
            now = (await one.execute(PID)).scalar_one()
        await engine.dispose()

    assert left.endswith("Current Checked out connections: 0")
    assert now != pid
    assert is_outage(failed.value)
