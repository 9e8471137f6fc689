"""Watches a streaming replica, and tells whether it is fresh enough to answer reads."""

import asyncio
import time
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import TextClause, text
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from event_trigger.db.engine import (
    DATABASE_ERRORS,
    QUERY_CANCELED,
    create_engine,
    create_sessions,
    sqlstate,
)
from event_trigger.db.errors import log_fields
from event_trigger.db.replica.lag import LagBound

log = structlog.get_logger()

REPLICA_URL_SETTING = "EVENT_TRIGGER_READ_DATABASE_URL"
MAX_LAG = timedelta(seconds=5)
CHECK_EVERY_SECONDS = 1.0
CHECK_TIMEOUT_SECONDS = 2.0
READ_TIMEOUT_SECONDS = 10.0  # then the primary is asked instead
MAX_CLOCK_SKEW = timedelta(seconds=1)  # its clock decides which events are archived or gone

_IDENTITY = """
    clock_timestamp() AS now,
    (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
    (SELECT oid FROM pg_database WHERE datname = current_database()) AS database_oid
"""
_READ_PRIMARY = text(f"""
    SELECT CAST(pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS bigint) AS position,
        pg_is_in_recovery() AS is_standby, {_IDENTITY}
""")
_READ_REPLICA = text(f"""
    SELECT CAST(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0') AS bigint) AS position,
        pg_is_in_recovery() AS is_standby, {_IDENTITY}
""")


class ServerState(NamedTuple):
    """A server's WAL position (bytes), role, time and identity."""

    position: int | None
    is_standby: bool
    now: datetime
    system_identifier: int
    database_oid: int


class ReadReplica:
    """Returns sessions on the replica, and checks every second whether they may be used."""

    def __init__(self, url: str, *, primary: AsyncEngine, connections: int) -> None:
        """Opens up to `connections` connections for reads, and one more for the checks."""
        self._engine = create_engine(
            url,
            setting=REPLICA_URL_SETTING,
            connections=connections,
            answer_within=READ_TIMEOUT_SECONDS,
        )
        # a separate engine, so that the checks never wait for a connection behind the reads
        self._check_engine = create_engine(url, setting=REPLICA_URL_SETTING, connections=1)
        self._primary = primary
        self._lag = LagBound(bound=MAX_LAG.total_seconds())
        self._unused_because: str | None = "not checked yet"
        self.sessions = create_sessions(self._engine)

    @property
    def engines(self) -> tuple[AsyncEngine, AsyncEngine]:
        return self._engine, self._check_engine

    @property
    def is_fresh(self) -> bool:
        return self._unused_because is None and self._lag.holds(time.monotonic())

    @property
    def age_seconds(self) -> float:
        return self._lag.age(time.monotonic())

    def failed(self, error: Exception) -> None:
        """Stops using the replica after a failed read, unless the read conflicted with replay."""
        state = sqlstate(error)
        if state.startswith("40") or state == QUERY_CANCELED or isinstance(error, PoolTimeout):
            log.debug("read_replica_cancelled", **log_fields(error))
        else:
            self._stop_using("it does not answer", error)

    async def watch(self) -> None:
        """Compares both servers every second, until it is cancelled."""
        while True:
            try:
                async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
                    await self._check()
            except DATABASE_ERRORS as error:
                self._stop_using("it does not answer", error)
            await asyncio.sleep(CHECK_EVERY_SECONDS)

    async def aclose(self) -> None:
        await self._engine.dispose()
        await self._check_engine.dispose()

    async def _check(self) -> None:
        at = time.monotonic()
        primary = await _read_state(self._primary, _READ_PRIMARY)
        replica = await _read_state(self._check_engine, _READ_REPLICA)
        took = timedelta(seconds=time.monotonic() - at)
        if (reason := _mismatch(primary, replica, took)) is not None:
            self._stop_using(reason)
            return
        assert primary.position is not None
        assert replica.position is not None
        self._lag.note(at=at, primary=primary.position, replica=replica.position)
        if not self._lag.holds(time.monotonic()):
            self._stop_using("it is too far behind")
        elif self._unused_because is not None:
            self._unused_because = None
            log.info("read_replica_used")

    def _stop_using(self, reason: str, error: Exception | None = None) -> None:
        """Sends reads to the primary; logs that once for each change of the reason."""
        if self._unused_because != reason:
            self._unused_because = reason
            fields = {} if error is None else log_fields(error)
            log.warning("read_replica_left", reason=reason, **fields)


async def _read_state(engine: AsyncEngine, statement: TextClause) -> ServerState:
    async with engine.connect() as connection:
        return ServerState(*(await connection.execute(statement)).one())


async def find_mismatch(primary: AsyncEngine, replica: AsyncEngine) -> str | None:
    """Returns the reason why a replica cannot stand in for the primary, if there is one."""
    at = time.monotonic()
    states = await _read_state(primary, _READ_PRIMARY), await _read_state(replica, _READ_REPLICA)
    return _mismatch(*states, timedelta(seconds=time.monotonic() - at))


def _mismatch(primary: ServerState, replica: ServerState, took: timedelta) -> str | None:
    """Returns the reason why the replica cannot stand in for the primary, if there is one."""
    if (replica.system_identifier, replica.database_oid) != (
        primary.system_identifier,
        primary.database_oid,
    ):
        return "it is not of this database"
    if not replica.is_standby or replica.position is None:
        return "it follows no primary"
    ahead = replica.now - primary.now
    return None if -MAX_CLOCK_SKEW < ahead < MAX_CLOCK_SKEW + took else "its clock is wrong"
