"""Runs migrations that give way: no call waits long behind a statement that needs a lock."""

import asyncio
from collections.abc import Callable
from itertools import count, cycle

import structlog
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

from event_trigger.db.engine import DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, sqlstate
from event_trigger.logs import release_lines

log = structlog.get_logger()

# the last one outlasts deadlock_timeout (1 s), after which an autovacuum gives way to us
_LOCK_TIMEOUTS_MS = (200, 200, 1500)
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1, 30


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
