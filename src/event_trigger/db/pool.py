"""A pool that gives back what it does not use, and makes do with what the server gives it.

SQLAlchemy's own keeps every connection that it ever needed at once, and fails as soon as the server
has none left. A server of 20 connections is soon full then, and a second process cannot start.
"""

import asyncio
import math
from collections import deque
from time import monotonic
from typing import Any, NamedTuple

import asyncpg
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

UNUSED_FOR = 60.0  # seconds after which a connection is closed
TOO_MANY_CONNECTIONS = "53300"
SHORT_FOR = 15.0  # seconds that a shortage is remembered
_ASK_AGAIN = 0.2  # seconds between two tries to connect to a server that has none left
_LOOK_EVERY = 10.0  # seconds
ROOM = 4  # connections that a process needs to start
_CROWDED_FOR = 5.0  # seconds
_ROOM = """
    WITH others AS (SELECT datid, usesysid FROM pg_stat_activity WHERE datid IS NOT NULL)
    SELECT pg_backend_pid(), least(
        current_setting('max_connections')::int
            - current_setting('superuser_reserved_connections')::int
            - (SELECT count(*) FROM others),
        (SELECT datconnlimit - (SELECT count(*) FROM others WHERE datid = oid)
            FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0),
        (SELECT rolconnlimit - (SELECT count(*) FROM others WHERE usesysid = oid)
            FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0)
    )
"""


class _Idle(NamedTuple):
    """A connection that nobody uses, and since when."""

    since: float
    entry: ConnectionPoolEntry


class ConnectionPool(Pool):
    """Lends up to so many connections, the one last used first, in the order of asking.

    1. A free connection is lent at once.
    2. A new one is made while there are fewer than `pool_size`.
    3. Otherwise the caller waits for one that is returned, for up to `timeout` seconds.

    A server that has no connection left (SQLSTATE 53300) makes the pool as small as what it has:
    callers wait as in 3, and every fifth of a second one of them asks the server again. So does one
    that has hardly any left: a pool that has a connection leaves the last four to processes that
    start, for each of which they are enough.
    """

    _is_asyncio = True

    def __init__(
        self, creator: Any, pool_size: int = 5, timeout: float = 30.0, **others: Any
    ) -> None:
        super().__init__(creator, **others)
        self._size = pool_size
        self._timeout = timeout
        self._idle: list[_Idle] = []
        self._open = 0  # connections that there are, lent or not, and those being made
        self._making = 0
        self._waiting: deque[asyncio.Future[ConnectionPoolEntry | None]] = deque()
        self._ask_after = 0.0  # not 0: the server had none left
        self._short: tuple[float, BaseException] | None = None

    def shortage(self) -> BaseException | None:
        """Gives the latest failure to get a connection, for the next 15 seconds."""
        if self._short is None or monotonic() - self._short[0] > SHORT_FOR:
            return None
        return self._short[1]

    def connect(self) -> PoolProxiedConnection:
        """Raises SQLAlchemy's TimeoutError, or what the server said, when the time is over."""
        give_up_at = monotonic() + self._timeout
        while True:
            try:
                return super().connect()
            except PoolTimeout as error:
                self._short = monotonic(), error
                raise
            except Exception as error:
                if getattr(error, "sqlstate", None) != TOO_MANY_CONNECTIONS:
                    raise
                if monotonic() >= give_up_at:
                    self._short = monotonic(), error
                    raise
                self._ask_after = monotonic() + _ASK_AGAIN

    def close_unused(self, seconds: float) -> None:
        """Closes the connections that nobody has used for so long."""
        before = monotonic() - seconds
        unused = [one for one in self._idle if one.since <= before]
        self._idle = [one for one in self._idle if one.since > before]
        for one in unused:
            self._close(one.entry)

    def recreate(self) -> "ConnectionPool":
        return ConnectionPool(
            self._creator,
            pool_size=self._size,
            timeout=self._timeout,
            recycle=self._recycle,
            echo=self.echo,
            logging_name=self._orig_logging_name,
            reset_on_return=self._reset_on_return,
            pre_ping=self._pre_ping,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        while self._idle:
            entry = self._idle.pop().entry
            try:
                entry.close()
            finally:
                self._gone()

    def status(self) -> str:
        lent = self._open - len(self._idle)
        return f"Pool size: {self._size} Current Checked out connections: {lent}"

    def _do_get(self) -> ConnectionPoolEntry:
        give_up_at = monotonic() + self._timeout
        while not self._idle:
            now, may_make = monotonic(), self._open < self._size
            if may_make and now >= self._ask_after:
                if (made := self._made()) is not None:
                    return made
                continue
            if now >= give_up_at:
                raise PoolTimeout(
                    f"none of the pool's {self._size} connections was free for {self._timeout:g} s"
                )
            until = min(give_up_at, self._ask_after) if may_make else give_up_at
            if (handed := await_only(self._turn(until - now))) is not None:
                return handed
        return self._idle.pop().entry

    def _made(self) -> ConnectionPoolEntry | None:
        """Gives back at once what leaves too little room to others, and then has nothing."""
        self._open += 1
        self._making += 1
        if self._ask_after:
            self._ask_after = monotonic() + _ASK_AGAIN  # the others wait for what is said to us
        try:
            entry = self._create_connection()
        except BaseException:
            self._making -= 1
            self._gone()
            raise
        try:
            room = await_only(_room_on_server(entry.driver_connection))
        except BaseException:
            self._making -= 1
            self._close(entry)
            raise
        self._making -= 1
        self._ask_after = 0.0
        if room >= ROOM or self._open - self._making == 1:
            return entry
        self._ask_after = monotonic() + _CROWDED_FOR
        self._close(entry)
        return None

    def _close(self, entry: ConnectionPoolEntry) -> None:
        try:
            entry.invalidate()
        finally:
            self._gone()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if record.dbapi_connection is None:
            self._gone()
        elif not self._hand_on(record):
            self._idle.append(_Idle(monotonic(), record))

    def _gone(self) -> None:
        """Lets the next in line make a connection in place of one that is no more."""
        self._open -= 1
        self._hand_on(None)

    def _hand_on(self, entry: ConnectionPoolEntry | None) -> bool:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(entry)
                return True
        return False

    async def _turn(self, seconds: float) -> ConnectionPoolEntry | None:
        """Waits for what another caller returns; None says to look again."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        except BaseException:
            if waiter.done():
                self._pass_on(waiter.result())
            raise
        finally:
            if not waiter.done():
                self._waiting.remove(waiter)
        entry: ConnectionPoolEntry | None = waiter.result() if waiter.done() else None
        return entry

    def _pass_on(self, entry: ConnectionPoolEntry | None) -> None:
        if entry is None:
            self._hand_on(None)
        else:
            self._do_return_conn(entry)


async def _room_on_server(connection: Any) -> float:
    """How many connections the server, the database and the role allow beside those that there are.

    Behind a pooler, which answers under another process id, that is for the pooler to say.
    """
    try:
        async with connection.transaction():
            pid, room = await (await connection.prepare(_ROOM, name="")).fetchrow()
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return math.inf  # whoever uses the connection is told
    return float(room) if pid == connection.get_server_pid() else math.inf


def shortage_of(*engines: AsyncEngine) -> BaseException | None:
    """Gives the latest failure of one of these to get a connection, for 15 seconds."""
    for engine in engines:
        pool = engine.pool
        if isinstance(pool, ConnectionPool) and (error := pool.shortage()) is not None:
            return error
    return None


async def close_unused(*engines: AsyncEngine) -> None:
    """Closes what was not used for a minute, until it is cancelled."""
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        for engine in engines:
            pool = engine.pool
            if isinstance(pool, ConnectionPool):
                await greenlet_spawn(pool.close_unused, UNUSED_FOR)
