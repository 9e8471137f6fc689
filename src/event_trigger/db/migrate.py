"""Migrates the database to the newest revision, or back, also when several replicas start.

Migrations give way: no call waits long behind a statement that needs a lock.
"""

import asyncio
from collections.abc import Callable
from itertools import count, cycle
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, event, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from event_trigger.db.engine import (
    APPLICATION_NAME,
    DEADLOCK_DETECTED,
    LOCK_NOT_AVAILABLE,
    create_maintenance_engine,
    sqlstate,
)
from event_trigger.db.installation import keep_installation
from event_trigger.db.revisions import (
    current_revision,
    is_migrated,
    known_revisions,
    migrations_folder,
)
from event_trigger.logs import release_lines

log = structlog.get_logger()

_MIGRATION_LOCK = 0x6576_7473  # "evts": the id of the advisory lock
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_COUNT_OTHERS = text("""
    SELECT count(*) FROM pg_stat_activity
    WHERE application_name = :name AND datname = current_database() AND pid <> pg_backend_pid()
""")
_TRY_LOCK_EVERY_SECONDS = 0.2
# the last one outlasts deadlock_timeout (1 s), after which an autovacuum gives way to us
_LOCK_TIMEOUTS_MS = (200, 200, 1500)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1, 30


async def migrate(engine: AsyncEngine, *, folder: Path | None = None) -> None:
    """Upgrades the schema; of several replicas one does it, and the others wait.

    1. Take the migration lock, on a connection of its own, and keep it to the end.
    2. Run the missing migrations on a second connection. They share one transaction, so that all
       of them succeed or none; but one that builds an index concurrently (`db/ddl.py`) commits
       those before it. If it fails, the next start continues from there. None makes calls wait
       long for a lock (`run_giving_way`).
    3. Make or check the installation's id, still under the lock.
    """
    lock_engine = create_maintenance_engine(engine.url)
    try:
        async with lock_engine.connect() as lock:
            # in any other isolation level the lock's transaction would keep a snapshot
            await lock.execution_options(isolation_level="READ COMMITTED")
            await _take_lock(lock)
            if not await lock.run_sync(is_migrated, folder):
                await _release_snapshot(lock)
                await _run(engine, lambda sync: _run_missing(sync, folder))
            await keep_installation(lock)
            await lock.commit()
    finally:
        await lock_engine.dispose()


async def migrate_back(engine: AsyncEngine, revision: str) -> None:
    """Downgrades the schema to an older revision, for an older version of the service.

    Raises ValueError, before anything is changed, if there is no such revision before the present
    one, or if the service still runs.
    """
    lock_engine = create_maintenance_engine(engine.url)
    try:
        async with lock_engine.connect() as lock:
            await lock.execution_options(isolation_level="READ COMMITTED")
            await _take_lock(lock)
            current = await lock.run_sync(current_revision)
            if revision not in known_revisions() or current not in known_revisions():
                raise ValueError(f"There is no way back from revision {current} to {revision}.")
            if others := await lock.scalar(_COUNT_OTHERS, {"name": APPLICATION_NAME}):
                raise ValueError(
                    f"{others} sessions of the service are connected to this database: stop all of"
                    " its processes first. Nothing was changed."
                )
            await _release_snapshot(lock)
            await _run(engine, lambda sync: _run_back(sync, revision))
            await lock.commit()
    finally:
        await lock_engine.dispose()


async def _take_lock(lock: AsyncConnection) -> None:
    """Polls for the lock instead of waiting for it.

    A waiting statement keeps a snapshot, and a concurrent index build waits for all older ones: it
    and the replicas that wait for its end would block each other.
    """
    while not await lock.scalar(_TRY_LOCK, {"lock": _MIGRATION_LOCK}):
        await lock.rollback()
        await asyncio.sleep(_TRY_LOCK_EVERY_SECONDS)


async def _release_snapshot(lock: AsyncConnection) -> None:
    """Ends the last statement's portal, whose snapshot a concurrent index build would wait for.

    PostgreSQL keeps the unnamed portal until the next statement, and SET needs no snapshot.
    """
    await lock.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))


async def _run(engine: AsyncEngine, work: Callable[[Connection], None]) -> None:
    upgrade_engine = create_maintenance_engine(engine.url)
    try:
        async with upgrade_engine.connect() as connection:
            await run_giving_way(connection, work)
    finally:
        await upgrade_engine.dispose()


def _run_missing(connection: Connection, folder: Path | None) -> None:
    # most starts find a migrated database, and are a third of a second shorter without Alembic
    from alembic import command  # noqa: PLC0415

    command.upgrade(_configuration(connection, folder), "head")


def _run_back(connection: Connection, revision: str) -> None:
    from alembic import command  # noqa: PLC0415
    from alembic.util import CommandError  # noqa: PLC0415

    try:
        command.downgrade(_configuration(connection, None), revision)
    except CommandError as error:
        raise ValueError(f"There is no way back to revision {revision}: {error}.") from None


def _configuration(connection: Connection, folder: Path | None) -> Any:
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    location = str(folder or migrations_folder()).replace("%", "%%")
    config.set_main_option("script_location", location)
    config.attributes["connection"] = connection
    return config


async def run_giving_way(
    connection: AsyncConnection, run_missing: Callable[[Connection], None]
) -> None:
    """Calls `run_missing` until each of its statements has got its locks in time.

    PostgreSQL makes every later statement, a read too, wait behind an `ALTER TABLE` that waits for
    the end of a long transaction (a dump, say). Therefore:

    1. In a transaction, a statement waits for a lock for 0.2 s, at each third try for 1.5 s.
    2. If it did not get the lock, everything since the last commit is rolled back. Calls go on for
       1 s, later for up to 30 s; then the missing statements run again. There is no last try.

    A concurrent index build is outside of any transaction, and waits without a limit: nothing has
    to wait behind it.
    """
    timeouts = cycle(_LOCK_TIMEOUTS_MS)
    for number in count():
        try:
            await connection.run_sync(_limited(run_missing, next(timeouts)))
        except DBAPIError as error:
            if sqlstate(error) not in {LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED}:
                raise
            pause = min(_FIRST_PAUSE_SECONDS << min(number, 5), _LONGEST_PAUSE_SECONDS)
            release_lines()  # there is no saying when the start will be over
            log.info("migration_gives_way", again_in=pause, sqlstate=sqlstate(error))
        else:
            return
        await asyncio.sleep(pause)


def _limited(
    run_missing: Callable[[Connection], None], timeout_ms: int
) -> Callable[[Connection], None]:
    def limit(connection: Connection) -> None:
        connection.exec_driver_sql(f"SELECT set_config('lock_timeout', '{timeout_ms}', true)")

    def run(connection: Connection) -> None:
        event.listen(connection, "begin", limit)
        try:
            run_missing(connection)
        finally:
            event.remove(connection, "begin", limit)

    return run
