"""Runs SQL straight on asyncpg's connections: a session takes ten times as long for one row.

A session makes objects that follow changes, and wraps each statement in a transaction and in
several greenlets. Reads, and calls that share a commit, need none of it.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from enum import Enum
from types import MappingProxyType, SimpleNamespace
from typing import Any, Protocol
from weakref import WeakSet

import asyncpg
from sqlalchemy import Connection, Engine, TextClause, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from event_trigger.db.numbered import array_text, numbered
from event_trigger.db.pgbouncer import is_pooled
from event_trigger.db.pool import DatabasePool
from event_trigger.db.prepared import PreparedStatements, Row

_PREPARED, _PLANNING = "plain_statements", "planning"  # in the `info` of a connection
_NO_OPTIONS: Mapping[str, Any] = {}
_CONNECTION_ERRORS = (OSError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_POOLED: WeakSet[AsyncEngine] = WeakSet()
_KEEPS_PLANNING: ContextVar[bool] = ContextVar("keeps_planning", default=False)

_OFF = ("enable_sort", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin")


class Planning(Enum):
    """Ways of planning, as settings: one plan for all values, or one for each along indexes."""

    GENERIC = MappingProxyType({"plan_cache_mode": "force_generic_plan"})
    ALONG_INDEXES = MappingProxyType(
        {
            "plan_cache_mode": "force_custom_plan",
            **dict.fromkeys(_OFF, "off"),
            "max_parallel_workers_per_gather": "0",
        }
    )


class ReadRows(Protocol):
    """The rows of a statement; they are tuples, and their columns are attributes, too."""

    def all(self) -> Sequence[Any]: ...

    def one(self) -> Any: ...

    def __iter__(self) -> Iterator[Any]: ...


class ReadSession(Protocol):
    """The part of a session that runs statements in SQL; AsyncSession has it, too."""

    async def execute(
        self,
        statement: TextClause,
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Any = ...,
    ) -> ReadRows: ...

    async def scalar(
        self,
        statement: TextClause,
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Any = ...,
    ) -> Any: ...

    def get_bind(self) -> Engine | Connection: ...


class Pooled(Exception):
    """There is a pooler, so that a statement outside a transaction has no time limits."""


class _Rows(list[Row]):
    def all(self) -> Sequence[Row]:
        return self

    def one(self) -> Row:
        [row] = self
        return row


class PlainSession:
    """One connection for statements in SQL, each a transaction of its own unless one has begun."""

    def __init__(self, engine: AsyncEngine, connection: PoolProxiedConnection) -> None:
        self._engine = engine.sync_engine
        self._driver: asyncpg.Connection = connection.driver_connection
        self._info = connection.info
        self._prepared: PreparedStatements
        self._prepared = self._info.setdefault(_PREPARED, PreparedStatements())
        self._is_begun = False
        self.after_commit: list[Callable[[], None]] = []

    async def execute(
        self,
        statement: TextClause,
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> _Rows:
        sql, names, arrays = numbered(statement.text)
        values = [params[name] for name in names] if params else []
        for place in arrays:
            values[place] = array_text(values[place])
        if self._engine.dispatch.before_cursor_execute:
            self._tell(sql, values, {**statement.get_execution_options(), **execution_options})
        prepared = self._prepared.find(sql) or await self._prepared.prepare(self._driver, sql)
        return _Rows(await prepared.fetch(*values))

    async def scalar(
        self,
        statement: TextClause,
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> Any:
        rows = await self.execute(statement, params, execution_options=execution_options)
        return rows[0][0] if rows else None

    def get_bind(self) -> Engine:
        return self._engine

    async def begin(self) -> None:
        self._is_begun = True
        await self._driver.execute("BEGIN")

    async def plan(self, planning: Planning) -> None:
        """Plans so from here on, outside a transaction; the connection keeps this way.

        BEGIN and COMMIT for each page would cost as much as the page.
        """
        before = self._info.get(_PLANNING)
        if before is not planning:
            self._info[_PLANNING] = planning
            settings = (f"SET {name} = {value}" for name, value in planning.value.items())
            await self._driver.execute("; ".join([*_resets(before), *settings]))

    async def end(self) -> None:
        """Commits; a COMMIT that is refused is an outage, as in a session (`db/engine.py`)."""
        if not self._is_begun:
            return
        try:
            ended = await self._driver.execute("COMMIT")
        except asyncpg.PostgresError as error:
            raise asyncpg.InterfaceError(f"The COMMIT has failed: {error}") from error
        if ended != "COMMIT":
            raise RuntimeError("A statement of this transaction had failed: it was rolled back.")

    async def undo(self, error: Exception) -> None:
        """Ends the transaction after an error, and drops the plans that the error may be about."""
        if isinstance(error, asyncpg.PostgresError):
            self._prepared.drop_all()
        if self._is_begun:
            with suppress(asyncpg.PostgresError, *_CONNECTION_ERRORS):  # they would hide the error
                await self._driver.execute("ROLLBACK")

    def _tell(self, sql: str, values: Sequence[Any], options: Mapping[str, Any]) -> None:
        """Tells listeners of the engine about a statement, as SQLAlchemy does."""
        context = SimpleNamespace(execution_options=options)
        for look in self._engine.dispatch.before_cursor_execute:
            look(None, None, sql, tuple(values), context, False)


class PlainReads:
    """Lends the connections of an engine to PlainSessions.

    It is a ReadSession itself, with a connection for each statement.
    """

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def execute(
        self,
        statement: TextClause,
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> _Rows:
        async with self.open() as session:
            return await session.execute(statement, params, execution_options=execution_options)

    async def scalar(
        self,
        statement: TextClause,
        params: Mapping[str, Any] | None = None,
        *,
        execution_options: Mapping[str, Any] = _NO_OPTIONS,
    ) -> Any:
        async with self.open() as session:
            return await session.scalar(statement, params, execution_options=execution_options)

    def get_bind(self) -> Engine:
        return self._engine.sync_engine

    def note_shortage(self, error: BaseException) -> None:
        """Counts a caller that got no connection in time, as the pool counts its own."""
        if isinstance(pool := self._engine.pool, DatabasePool):
            pool.note_shortage(error)

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[PlainSession]:
        """Opens a transaction, which is committed at the end of the body."""
        async with self.open() as session:
            await session.begin()
            yield session

    @asynccontextmanager
    async def open(self, *, keeps_planning: bool = False) -> AsyncIterator[PlainSession]:
        """Closes the connection after an error that may have left an answer unread.

        A caller that says itself how to plan may get a connection that keeps its way of planning.
        Raises Pooled, PoolTimeout, and the errors of asyncpg.
        """
        if self._engine in _POOLED:
            raise Pooled
        token = _KEEPS_PLANNING.set(keeps_planning)
        try:
            connection = await greenlet_spawn(self._engine.pool.connect)
        finally:
            _KEEPS_PLANNING.reset(token)
        try:
            if is_pooled(connection):
                _POOLED.add(self._engine)  # for good: no other reader need take a connection first
                raise Pooled
            session = PlainSession(self._engine, connection)
            try:
                yield session
                await session.end()
            except _CONNECTION_ERRORS:
                raise
            except Exception as error:
                await session.undo(error)
                raise
        except BaseException as error:
            if _is_lost(connection, error):
                await greenlet_spawn(connection.invalidate, error)
            raise
        finally:
            await greenlet_spawn(connection.close)
        for work in session.after_commit:
            work()


def _is_lost(connection: PoolProxiedConnection, error: BaseException) -> bool:
    """Tells whether an answer may be unread, or a transaction open: nobody else may get it."""
    if not isinstance(error, Exception) or isinstance(error, _CONNECTION_ERRORS):
        return True
    driver: asyncpg.Connection = connection.driver_connection
    return bool(driver.is_closed() or driver.is_in_transaction())


def plan_as_usual(engine: AsyncEngine) -> None:
    """Ends a connection's way of planning before anybody gets it who does not choose one."""

    def reset(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
        planning = record.info.get(_PLANNING)
        if planning is None or _KEEPS_PLANNING.get():
            return
        try:
            connection.run_async(lambda driver: driver.execute("; ".join(_resets(planning))))
        except (asyncpg.PostgresError, *_CONNECTION_ERRORS):
            raise InvalidatePoolError from None
        del record.info[_PLANNING]

    event.listen(engine.sync_engine, "checkout", reset)


def _resets(planning: Planning | None) -> Iterator[str]:
    return (f"RESET {name}" for name in (planning.value if planning else ()))
