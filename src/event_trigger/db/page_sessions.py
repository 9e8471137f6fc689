"""Hands the connection of one page, or one replay, on to the next that waits.

Taking a connection and giving it back costs as much as a tenth of a page.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from time import monotonic
from typing import NamedTuple

from sqlalchemy.exc import TimeoutError as PoolTimeout

from event_trigger.db.plain_session import PlainReads, PlainSession

MOST_PAGES = 6  # at a time
CONNECTIONS_OF_CALLS = 4  # of the pool, which pages leave free if it is large enough
WAITS_SECONDS = 5.0  # for another page to end, as the pool does
_KEPT_SECONDS = 0.1  # then it goes back to the pool, where calls may wait for it


class _Lent(NamedTuple):
    """A session, what closes it, and until when it is handed on (seconds, monotonic)."""

    session: PlainSession
    closing: AbstractAsyncContextManager[PlainSession]
    until: float


class PageSessions:
    """Lends up to `most` sessions that keep their way of planning, to callers in their order.

    1. While fewer are lent, a caller takes a connection of the pool.
    2. Any other caller waits. One that is done hands the session on to the one that waits longest.
    3. After a failure, or 0.1 s, its connection goes back, and the next caller takes another.
    """

    def __init__(
        self, reads: PlainReads, *, most: int = MOST_PAGES, waits: float = WAITS_SECONDS
    ) -> None:
        self._reads = reads
        self._waits = waits
        self._free = most
        self._waiting: deque[asyncio.Future[_Lent | None]] = deque()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[PlainSession]:
        """Raises PoolTimeout after `waits` seconds, and as PlainReads does."""
        lent = await self._take()
        try:
            yield lent.session
        except BaseException as error:
            try:
                await lent.closing.__aexit__(type(error), error, error.__traceback__)
            finally:
                self._free_place()
            raise
        if monotonic() < lent.until and self._hand_on(lent):
            return
        await self._close(lent)

    async def _take(self) -> _Lent:
        if self._free:
            self._free -= 1
        elif (lent := await self._wait()) is not None:
            return lent
        closing = self._reads.open(keeps_planning=True)
        try:
            session = await closing.__aenter__()
        except BaseException:
            self._free_place()
            raise
        return _Lent(session, closing, monotonic() + _KEPT_SECONDS)

    async def _wait(self) -> _Lent | None:
        """Waits for a session, or for a place, which is None."""
        waiter: asyncio.Future[_Lent | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout(self._waits):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled():
                await self._give_up(waiter.result())
            if isinstance(error, TimeoutError):
                late = PoolTimeout(f"No session for pages was free for {self._waits:g} s.")
                self._reads.note_shortage(late)
                raise late from None
            raise

    async def _give_up(self, lent: _Lent | None) -> None:
        """Passes on what came when its caller had just gone."""
        if lent is None:
            self._free_place()
        elif not self._hand_on(lent):
            await self._close(lent)

    async def _close(self, lent: _Lent) -> None:
        try:
            await lent.closing.__aexit__(None, None, None)
        finally:
            self._free_place()

    def _free_place(self) -> None:
        if not self._hand_on(None):
            self._free += 1

    def _hand_on(self, lent: _Lent | None) -> bool:
        """Gives a session, or a place, to the caller that waits longest; False if nobody does."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(lent)
                return True
        return False
