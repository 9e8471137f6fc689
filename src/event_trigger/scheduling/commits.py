"""Lets the next batch of on-time triggers begin while earlier ones commit."""

import asyncio
from collections.abc import Callable, Sequence

from event_trigger.db.engine import Sessions, engine_of
from event_trigger.db.pool import DatabasePool
from event_trigger.db.transactions import Transactions
from event_trigger.events.announcer import Announcer
from event_trigger.scheduling.batch import BatchRequest, Enqueue, fire_next_batch

END_SECONDS = 5.0  # a COMMIT whose disk or standby does not answer has no limit of its own


class Commits:
    """Fires batches, and leaves their commits running: the disk takes longer than all the rest.

    So many run at once that one of the pool's connections is left for the next batch. A cluster
    does not overlap them. `fired` counts the triggers; `on_batch` is called after each batch.
    """

    def __init__(self, sessions: Sessions, on_batch: Callable[[], None]) -> None:
        pool = engine_of(sessions).pool
        assert isinstance(pool, DatabasePool)
        self.sessions = sessions
        self.on_batch = on_batch
        self._announcer = Announcer(Transactions(sessions))
        self._most = pool.most - 1
        self._running: dict[asyncio.Task[int], Sequence[int]] = {}  # the triggers of each
        self._failure: BaseException | None = None
        self.overlap = True
        self.fired = 0

    def __bool__(self) -> bool:
        return bool(self._running)

    @property
    def triggers(self) -> list[int]:
        """The triggers that have fired, but look due until their commit has ended."""
        return [one for triggers in self._running.values() for one in triggers]

    async def fire(self, request: BatchRequest, enqueue: Enqueue) -> int:
        """Fires a batch until its COMMIT begins; gives the number of triggers claimed for it.

        A batch that may leave triggers due is over when its commit is. So is one of late triggers,
        whose workers are few so that other work has room. Waits while too many commits run.
        """
        written = asyncio.get_running_loop().create_future()

        def add(following: BatchRequest) -> None:
            # later, the commit has failed: all is found due again, and fails again if its rows were
            # the reason, which no deferred constraint makes them
            if not written.done():
                enqueue(following)

        on_written = written.set_result if self.overlap and not request.late else None
        batch = asyncio.create_task(
            fire_next_batch(self.sessions, request, add, self._announcer, on_written)
        )
        try:
            await asyncio.wait((batch, written), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            batch.cancel()
            await asyncio.wait((batch,))
            raise
        if not written.done():
            count = batch.result()
            self.fired += count
            self.on_batch()
            return count
        triggers = written.result()
        self.fired += len(triggers)
        self._running[batch] = triggers
        batch.add_done_callback(self._ended)
        while len(self._running) > self._most:
            await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
        return len(triggers)

    def cancel(self) -> None:
        for batch in self._running:
            batch.cancel()

    async def wait(self, seconds: float) -> None:
        """Waits until all commits have ended, or for some seconds; raises the failure of one."""
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)
        self.check()

    async def end(self) -> None:
        """Waits for the commits, for 5 s at most, and announces their events."""
        try:
            await self.wait(END_SECONDS)
        finally:
            await self._announcer.end()

    def check(self) -> None:
        """Raises the failure of a commit that has ended, once."""
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _ended(self, batch: asyncio.Task[int]) -> None:
        del self._running[batch]
        if batch.cancelled():
            return
        if (failure := batch.exception()) is not None:
            self._failure = failure
        elif batch.result():  # 0 after a COMMIT that failed
            self.on_batch()
