"""The database's clock: the only one that decides what is due, active, expired or gone."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions

MEASURED_EVERY = 10.0  # seconds: a stopped machine, or a failover, shifts the clock
DRIFT = 0.001  # seconds a second, more than two clocks ever run apart


async def database_now(session: AsyncSession) -> datetime:
    """The instant of asking, not of the transaction's start: locks may have been waited for."""
    now: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return now


@dataclass(frozen=True, slots=True)
class _Reading:
    """At `at` of our own clock the database's showed `shown`, give or take `error` seconds."""

    at: float
    shown: datetime
    error: float

    def now(self, at: float) -> datetime:
        return self.shown + timedelta(seconds=at - self.at)

    def error_at(self, at: float) -> float:
        return self.error + DRIFT * (at - self.at)

    def is_worse_than(self, newer: "_Reading") -> bool:
        """Whether the newer one is more exact, or the database's clock is not what it was."""
        error = self.error_at(newer.at)
        apart = abs((newer.shown - self.now(newer.at)).total_seconds())
        return newer.error <= error or apart > newer.error + error


class DatabaseClock:
    """Tells a process the database's time, for what is judged without asking the database.

    It is read once in a while, with half a round trip of doubt, and runs on by the monotonic
    clock: what this machine takes for the time of day never matters.
    """

    def __init__(
        self, sessions: Sessions, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions = sessions
        self._monotonic = monotonic
        self._reading: _Reading | None = None
        self._read_at = 0.0
        self._asking: asyncio.Task[_Reading] | None = None

    async def now(self) -> datetime:
        """Waits for the database only the first time; a later reading is made beside the answer."""
        reading = self._reading
        if reading is None:
            reading = await asyncio.shield(self._ask())
        elif self._monotonic() - self._read_at > MEASURED_EVERY:
            self._ask()
        return reading.now(self._monotonic())

    def _ask(self) -> asyncio.Task[_Reading]:
        """Starts a reading, or joins the one that is under way."""
        if self._asking is None:
            self._asking = asyncio.create_task(self._read())
            self._asking.add_done_callback(self._asked)
        return self._asking

    def _asked(self, task: asyncio.Task[_Reading]) -> None:
        self._asking = None
        self._read_at = self._monotonic()  # a database that is away is not asked all the time
        if not task.cancelled():
            task.exception()  # those who wait for it hear of it; the others have a reading

    async def _read(self) -> _Reading:
        async with self._sessions() as session:
            await session.connection()  # which may take a while, and is none of the doubt
            began = self._monotonic()
            shown = await database_now(session)
            half = (self._monotonic() - began) / 2
        newer, known = _Reading(began + half, shown, half), self._reading
        if known is None or known.is_worse_than(newer):
            known = self._reading = newer
        return known
