"""A connection pool that closes unused connections, and copes with a server that has none left.

SQLAlchemy's pool keeps the highest number of connections that it ever needed at once, and fails as
soon as the server has none left. That fills a server of 20 connections: a second process of the
service could not start.
"""

import asyncio
from collections import deque
from time import monotonic
from typing import Any, NamedTuple, Protocol

from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection
from sqlalchemy.util import await_only, greenlet_spawn

from event_trigger.db.free_connections import count_free

UNUSED_AFTER_SECONDS = 60.0  # then a connection is closed
TOO_MANY_CONNECTIONS = "53300"
SHORTAGE_SECONDS = 15.0  # how long `/readyz` reports a failure to get a connection
RESERVED_CONNECTIONS = 4  # left free on the server: a process needs as many to start
_RETRY_CONNECT_SECONDS = 0.2  # between two tries while the server has none left
_CROWDED_SECONDS = 5.0  # between two tries while only the reserved ones are left
_CLOSE_UNUSED_EVERY_SECONDS = 10.0
_RETURNED_WITHIN_SECONDS = 2.0  # all connections, at the end of the process


class _Idle(NamedTuple):
    """A free connection, and the time of its return (seconds, monotonic)."""

    since: float
    entry: ConnectionPoolEntry


class PoolObserver(Protocol):
    """Hears how long callers waited when no connection was free, and of those that got none."""

    def waited(self, seconds: float) -> None: ...
    def timed_out(self) -> None: ...


class DatabasePool(Pool):
    """Lends up to `pool_size` connections, the most recently used first.

    1. A free connection is lent at once.
    2. A new one is made while there are fewer than `pool_size`.
    3. Otherwise the caller waits for a returned one, for up to `timeout` seconds; callers that wait
       get returned ones in their order.

    If the server has no connection left (SQLSTATE 53300), callers wait as in 3, and every 0.2 s one
    of them tries to connect again. A pool that has at least one connection also leaves the server's
    last four free, so that another process can start; it tries again every 5 s.
    """

    _is_asyncio = True

    def __init__(
        self, creator: Any, pool_size: int = 5, timeout: float = 30.0, **others: Any
    ) -> None:
        super().__init__(creator, **others)
        self._size = pool_size
        self._timeout = timeout
        self._idle: list[_Idle] = []
        self._open = 0  # connections, lent or free, and those being made
        self._connecting = 0
        self._waiting: deque[asyncio.Future[ConnectionPoolEntry | None]] = deque()
        self._connect_after = 0.0  # 0, unless the server had too few connections left
        self._shortage: tuple[float, BaseException] | None = None
        self._is_over = False
        self.observer: PoolObserver | None = None

    def shortage(self) -> BaseException | None:
        """Returns the latest failure to get a connection, if it is less than 15 s old."""
        if self._shortage is None or monotonic() - self._shortage[0] > SHORTAGE_SECONDS:
            return None
        return self._shortage[1]

    def connect(self) -> PoolProxiedConnection:
        """Raises SQLAlchemy's TimeoutError or the server's 53300 after `timeout` seconds.

        That may take up to twice as long if the server has no connection left.
        """
        give_up_at = monotonic() + self._timeout
        while True:
            try:
                return super().connect()
            except PoolTimeout as error:
                self.note_shortage(error)
                raise
            except Exception as error:
                if getattr(error, "sqlstate", None) != TOO_MANY_CONNECTIONS:
                    raise
                if monotonic() >= give_up_at:
                    self.note_shortage(error)
                    raise
                self._connect_after = monotonic() + _RETRY_CONNECT_SECONDS

    def note_shortage(self, error: BaseException) -> None:
        self._shortage = monotonic(), error
        if self.observer is not None:
            self.observer.timed_out()

    def close_unused(self, seconds: float) -> None:
        """Closes the connections that have been free for that long."""
        before = monotonic() - seconds
        unused = [one for one in self._idle if one.since <= before]
        self._idle = [one for one in self._idle if one.since > before]
        for one in unused:
            self._close(one.entry)

    def recreate(self) -> "DatabasePool":
        made = DatabasePool(
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
        made.observer = self.observer
        return made

    def dispose(self) -> None:
        """Closes the free connections now, and those that are lent when they are returned."""
        self._is_over = True
        while self._idle:
            entry = self._idle.pop().entry
            try:
                entry.close()
            finally:
                self._forget_one()

    @property
    def lent(self) -> int:
        return self._open - len(self._idle)

    @property
    def idle(self) -> int:
        return len(self._idle)

    @property
    def most(self) -> int:
        return self._size

    def status(self) -> str:
        return f"Pool size: {self._size} Current Checked out connections: {self.lent}"

    def _do_get(self) -> ConnectionPoolEntry:
        if self._idle:
            return self._idle.pop().entry
        began = monotonic()
        entry = self._wait_for_one(began + self._timeout)
        if self.observer is not None:
            self.observer.waited(monotonic() - began)
        return entry

    def _wait_for_one(self, give_up_at: float) -> ConnectionPoolEntry:
        while not self._idle:
            now, may_make = monotonic(), self._open < self._size
            if may_make and now >= self._connect_after:
                if (made := self._make_connection()) is not None:
                    return made
                continue
            if now >= give_up_at:
                raise PoolTimeout(
                    f"none of the pool's {self._size} connections was free for {self._timeout:g} s"
                )
            until = min(give_up_at, self._connect_after) if may_make else give_up_at
            if (returned := await_only(self._wait_for_returned(until - now))) is not None:
                return returned
        return self._idle.pop().entry

    def _make_connection(self) -> ConnectionPoolEntry | None:
        """Connects; closes the connection again, and returns None, if the server is nearly full."""
        self._open += 1
        self._connecting += 1
        if self._connect_after:  # one caller tries, the others wait for the outcome
            self._connect_after = monotonic() + _RETRY_CONNECT_SECONDS
        try:
            entry = self._create_connection()
        except BaseException:
            self._connecting -= 1
            self._forget_one()
            raise
        try:
            free = await_only(count_free(entry.driver_connection))
        except BaseException:
            self._connecting -= 1
            self._close(entry)
            raise
        self._connecting -= 1
        self._connect_after = 0.0
        if free >= RESERVED_CONNECTIONS or self._open - self._connecting == 1:
            return entry
        self._connect_after = monotonic() + _CROWDED_SECONDS
        self._close(entry)
        return None

    def _close(self, entry: ConnectionPoolEntry) -> None:
        try:
            entry.invalidate()
        finally:
            self._forget_one()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if record.dbapi_connection is None:
            self._forget_one()
        elif self._is_over:
            self._close(record)
        elif not self._wake_next(record):
            self._idle.append(_Idle(monotonic(), record))

    def _forget_one(self) -> None:
        """Counts a closed connection, and lets the next waiting caller make another one."""
        self._open -= 1
        self._wake_next(None)

    def _wake_next(self, entry: ConnectionPoolEntry | None) -> bool:
        """Hands `entry` to the next waiting caller; returns False if no caller waits."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(entry)
                return True
        return False

    async def _wait_for_returned(self, seconds: float) -> ConnectionPoolEntry | None:
        """Waits for a connection that another caller returns; None means to try again."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds)
        except BaseException:
            if waiter.done():
                self._give_back(waiter.result())
            raise
        finally:
            if not waiter.done():
                self._waiting.remove(waiter)
        entry: ConnectionPoolEntry | None = waiter.result() if waiter.done() else None
        return entry

    def _give_back(self, entry: ConnectionPoolEntry | None) -> None:
        if entry is None:
            self._wake_next(None)
        else:
            self._do_return_conn(entry)


def shortage_of(*engines: AsyncEngine) -> BaseException | None:
    """Returns a failure of these engines to get a connection, if one is less than 15 s old."""
    for engine in engines:
        pool = engine.pool
        if isinstance(pool, DatabasePool) and (error := pool.shortage()) is not None:
            return error
    return None


async def close_unused(*engines: AsyncEngine) -> None:
    """Closes connections that were free for a minute, over and over, until it is cancelled."""
    while True:
        await asyncio.sleep(_CLOSE_UNUSED_EVERY_SECONDS)
        for engine in engines:
            pool = engine.pool
            if isinstance(pool, DatabasePool):
                await greenlet_spawn(pool.close_unused, UNUSED_AFTER_SECONDS)


async def close_all(engine: AsyncEngine) -> None:
    """Closes the connections, after up to 2 seconds in which tasks may return those they have."""
    give_up_at, pool = monotonic() + _RETURNED_WITHIN_SECONDS, engine.pool
    while isinstance(pool, DatabasePool) and pool.lent and monotonic() < give_up_at:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    await engine.dispose()
