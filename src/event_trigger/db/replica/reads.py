"""Reads that may be a moment old: the replica answers them, or else the primary."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.clock import database_now
from event_trigger.db.engine import DATABASE_ERRORS, Sessions
from event_trigger.db.replica.replica import BOUND, Replica

T = TypeVar("T")
Work = Callable[[AsyncSession], Awaitable[T]]
Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]
Parts = Callable[[Reading], Awaitable[T]]


class Reads:
    """Runs what only reads, in a read-only transaction on whichever database may answer."""

    def __init__(self, sessions: Sessions, replica: Replica | None = None) -> None:
        self._sessions = sessions
        self._replica = replica

    async def run(self, work: Work[T], *, shown: Work[object] | None = None) -> T:
        """Work that fails on the replica is done again on the primary, so it must change nothing.

        `shown` finds what the caller has seen already; if the replica has nothing of it, the
        primary is asked.
        """
        if self._replica is not None and self._replica.is_fresh:
            try:
                async with _reading(self._replica.sessions) as session:
                    if shown is None or await shown(session):
                        return await work(session)
            except DATABASE_ERRORS as error:
                self._replica.failed(error)
        async with _reading(self._sessions) as session:
            return await work(session)

    async def run_in_parts(self, work: Parts[T], *, shown: Work[object]) -> T:
        """As `run`, for work that reads and computes in turn, and holds no connection between.

        All its reads are of one database: the replica may be behind what the primary has shown.
        """
        if self._replica is not None and self._replica.is_fresh:
            reading = partial(_reading, self._replica.sessions)
            try:
                async with reading() as session:
                    is_shown = await shown(session)
                if is_shown:
                    return await work(reading)
            except DATABASE_ERRORS as error:
                self._replica.failed(error)
        return await work(partial(_reading, self._sessions))


@asynccontextmanager
async def _reading(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        await session.connection(execution_options={"postgresql_readonly": True})
        yield session


def all_shown_before(instant: datetime | None) -> Work[object] | None:
    """Whether a replica within its bound shows all that was there at an instant."""
    if instant is None:
        return None

    async def shown(session: AsyncSession) -> bool:
        return await database_now(session) - instant > BOUND

    return shown
