"""Runs reads on the replica while it is fresh, and otherwise on the primary."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import DATABASE_ERRORS, Sessions
from event_trigger.db.replica.replica import MAX_LAG, ReadReplica

T = TypeVar("T")
ReadWork = Callable[[AsyncSession], Awaitable[T]]
OpenRead = Callable[[], AbstractAsyncContextManager[AsyncSession]]
ReadInParts = Callable[[OpenRead], Awaitable[T]]


class Reads:
    """Runs work in a read-only transaction on the replica if it is fresh, else on the primary."""

    def __init__(self, sessions: Sessions, replica: ReadReplica | None = None) -> None:
        self._sessions = sessions
        self._replica = replica

    async def run(self, work: ReadWork[T], *, shown: ReadWork[object] | None = None) -> T:
        """Runs `work` on one database; if it fails on the replica, runs it again on the primary.

        `shown` finds the rows that the caller has already seen. If it finds nothing on the replica,
        the work runs on the primary.
        """
        if self._replica is not None and self._replica.is_fresh:
            try:
                async with _open_read(self._replica.sessions) as session:
                    if shown is None or await shown(session):
                        return await work(session)
            except DATABASE_ERRORS as error:
                self._replica.failed(error)
        async with _open_read(self._sessions) as session:
            return await work(session)

    async def run_in_parts(self, work: ReadInParts[T], *, shown: ReadWork[object]) -> T:
        """Does as `run`, for work that opens a session for each of several reads.

        Between them it holds no connection. All its reads are of one database, because the replica
        may be behind the primary.
        """
        if self._replica is not None and self._replica.is_fresh:
            reading = partial(_open_read, self._replica.sessions)
            try:
                async with reading() as session:
                    is_shown = await shown(session)
                if is_shown:
                    return await work(reading)
            except DATABASE_ERRORS as error:
                self._replica.failed(error)
        return await work(partial(_open_read, self._sessions))


@asynccontextmanager
async def _open_read(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        await session.connection(execution_options={"postgresql_readonly": True})
        yield session


def all_shown_before(instant: datetime | None) -> ReadWork[object] | None:
    """Returns a `shown` for `run`: does a replica within its lag bound show all of `instant`?"""
    if instant is None:
        return None

    async def shown(session: AsyncSession) -> bool:
        return await database_now(session) - instant > MAX_LAG

    return shown
