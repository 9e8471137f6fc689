"""Reads the database's clock, which alone decides whether a row is due, active or expired."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import text

from event_trigger.db.engine import Sessions
from event_trigger.db.plain_session import ReadSession

READ_EVERY_SECONDS = 10.0  # a failover or a suspended machine shifts the clock
_NOW = text("SELECT clock_timestamp()")
MAX_DRIFT = 0.001  # seconds per second: more than two clocks ever drift apart


async def database_now(session: ReadSession) -> datetime:
    """Returns the current time, not the transaction's start: it may have waited for locks."""
    now: datetime = await session.scalar(_NOW)
    return now


@dataclass(frozen=True, slots=True)
class _Reading:
    """The database's time, ± `error` seconds, at `at` of our monotonic clock."""

    at: float
    time: datetime
    error: float

    def time_at(self, at: float) -> datetime:
        return self.time + timedelta(seconds=at - self.at)

    def error_at(self, at: float) -> float:
        return self.error + MAX_DRIFT * (at - self.at)

    def is_worse_than(self, newer: "_Reading") -> bool:
        """Tells whether the newer reading is more exact, or shows that the clock was shifted."""
        error = self.error_at(newer.at)
        difference = abs((newer.time - self.time_at(newer.at)).total_seconds())
        return newer.error <= error or difference > newer.error + error


class DatabaseClock:
    """Estimates the database's time without a query for each call.

    It reads the database's clock every few seconds, with an error of half a round trip, and adds
    the monotonic time since then. This machine's time of day is never used.
    """

    def __init__(
        self, sessions: Sessions, *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._sessions = sessions
        self._monotonic = monotonic
        self._reading: _Reading | None = None
        self._read_at = 0.0
        self._running_read: asyncio.Task[_Reading] | None = None

    async def now(self) -> datetime:
        """Waits for the database only on the first call; later readings run in the background."""
        reading = self._reading
        if reading is None:
            reading = await asyncio.shield(self._start_read())
        elif self._monotonic() - self._read_at > READ_EVERY_SECONDS:
            self._start_read()
        return reading.time_at(self._monotonic())

    def _start_read(self) -> asyncio.Task[_Reading]:
        """Starts a reading, or joins the one that is running."""
        if self._running_read is None:
            self._running_read = asyncio.create_task(self._read())
            self._running_read.add_done_callback(self._end_read)
        return self._running_read

    def _end_read(self, task: asyncio.Task[_Reading]) -> None:
        self._running_read = None
        self._read_at = self._monotonic()  # after a failure, too: no query at every call
        if not task.cancelled():
            task.exception()  # marks it as retrieved: only the first callers wait for the task

    async def _read(self) -> _Reading:
        async with self._sessions() as session:
            await session.connection()  # connecting first keeps its time out of the error
            began = self._monotonic()
            time = await database_now(session)
            half = (self._monotonic() - began) / 2
        newer, known = _Reading(began + half, time, half), self._reading
        if known is None or known.is_worse_than(newer):
            known = self._reading = newer
        return known
