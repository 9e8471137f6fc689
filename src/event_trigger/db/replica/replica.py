"""A streaming replica answers reads for as long as it is known to be only a moment behind."""

import asyncio
import time
from datetime import timedelta
from typing import Any

import structlog
from sqlalchemy import Row, TextClause, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.db.engine import (
    DATABASE_ERRORS,
    QUERY_CANCELED,
    create_engine,
    create_sessions,
    sqlstate,
)
from event_trigger.db.errors import described
from event_trigger.db.replica.lag import LagBound

log = structlog.get_logger()

URL_SETTING = "EVENT_TRIGGER_READ_DATABASE_URL"
BOUND = timedelta(seconds=5)  # what it shows is never older
LOOK_EVERY = 1.0  # seconds
PATIENCE = 2.0  # seconds that one look may take
ANSWER_WITHIN = 10.0  # seconds after which one that fell silent is given up, and the primary asked
MOST_SKEW = timedelta(seconds=1)  # its clock says what is archived or gone

_IDENTITY = """
    clock_timestamp() AS now,
    (SELECT system_identifier FROM pg_control_system()) AS cluster,
    (SELECT oid FROM pg_database WHERE datname = current_database()) AS database
"""
_PRIMARY = text(f"""
    SELECT CAST(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bigint) AS position, {_IDENTITY}
""")
_REPLICA = text(f"""
    SELECT CAST(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') AS bigint) AS position,
        pg_is_in_recovery() AS follows, {_IDENTITY}
""")


Answer = Row[Any]


class Replica:
    """Sessions on the replica, and whether they may be used now."""

    def __init__(self, url: str, *, primary: AsyncEngine, connections: int) -> None:
        """Reads with up to so many connections, and one more looks how far the replica is."""
        self._engine = create_engine(
            url, setting=URL_SETTING, connections=connections, answer_within=ANSWER_WITHIN
        )
        # its own, so that no crowd of readers makes the replica look dead
        self._looking = create_engine(url, setting=URL_SETTING, connections=1)
        self._primary = primary
        self._freshness = LagBound(bound=BOUND.total_seconds())
        self._left: str | None = "not looked at yet"
        self.sessions = create_sessions(self._engine)

    @property
    def engines(self) -> tuple[AsyncEngine, AsyncEngine]:
        return self._engine, self._looking

    @property
    def is_fresh(self) -> bool:
        return self._left is None and self._freshness.holds(time.monotonic())

    def failed(self, error: Exception) -> None:
        """A read came to nothing: a conflict with what is replayed says nothing about the next."""
        state = sqlstate(error)
        if state.startswith("40") or state == QUERY_CANCELED or isinstance(error, PoolTimeout):
            log.debug("read_replica_cancelled", **described(error))
        else:
            self._leave("it does not answer", error)

    async def watch(self) -> None:
        """Looks every second how far both are, until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._look()
            except DATABASE_ERRORS as error:
                self._leave("it does not answer", error)
            await asyncio.sleep(LOOK_EVERY)

    async def aclose(self) -> None:
        await self._engine.dispose()
        await self._looking.dispose()

    async def _look(self) -> None:
        at = time.monotonic()
        primary = await _asked(self._primary, _PRIMARY)
        replica = await _asked(self._looking, _REPLICA)
        took = timedelta(seconds=time.monotonic() - at)
        if (why := _unlike(primary, replica, took)) is not None:
            self._leave(why)
            return
        self._freshness.note(at=at, primary=primary.position, replica=replica.position)
        if not self._freshness.holds(time.monotonic()):
            self._leave("it is too far behind")
        elif self._left is not None:
            self._left = None
            log.info("read_replica_used")

    def _leave(self, why: str, error: Exception | None = None) -> None:
        """Says it once: the same reason for a second time is no news."""
        if self._left != why:
            self._left = why
            said = {} if error is None else described(error)
            log.warning("read_replica_left", reason=why, **said)


async def _asked(engine: AsyncEngine, question: TextClause) -> Answer:
    async with engine.connect() as connection:
        return (await connection.execute(question)).one()


def _unlike(primary: Answer, replica: Answer, took: timedelta) -> str | None:
    """Why what the replica shows is not to be taken for the primary's, if so."""
    if (primary.cluster, primary.database) != (replica.cluster, replica.database):
        return "it is not of this database"
    if not replica.follows or replica.position is None:
        return "it follows no primary"
    ahead = replica.now - primary.now
    return None if -MOST_SKEW < ahead < MOST_SKEW + took else "its clock is wrong"
