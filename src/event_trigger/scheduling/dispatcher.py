"""Fires what is due, by the database's clock: says which shard has the next turn, and when."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from event_trigger.db.engine import Sessions, is_outage, sqlstate
from event_trigger.scheduling.batch import BatchRequest, fire_next_batch
from event_trigger.scheduling.due_shards import list_due_shards

WORKERS = 3
LOOK_EVERY = 0.1  # seconds: what is late waits for what has become due meanwhile
LONGEST_RUN = 1.0  # seconds, after which who shuts down need not wait for the end of a storm
LONGEST_WAIT = 1.0  # seconds: polling alone is enough, notifications only make it quicker
AHEAD = 0.008  # seconds: asking what is due and what is next takes 3 ms, and 8 with bad luck
LOCKED_WAIT = 0.02  # due rows that others hold are looked at again soon
SOON = 0.001  # seconds: an instant that was waited for in vain was moved, or another replica has it
Progress = Callable[[], None]

_TIMER = ThreadPoolExecutor(1, thread_name_prefix="timer")


async def fire_due(sessions: Sessions, progressed: Progress) -> float:
    """Fires what is due, for a second at the most, and says so after each batch.

    Gives the seconds until it should be called again: 0 while there may be more, 1 at the most.
    That is a little before the next instant, which it then waits for: asking what is due takes
    longer than firing it, and is over when the instant comes.
    """
    work = _Work(sessions, progressed)
    await work.run()
    if work.fired:
        return 0.0
    progressed()
    if work.found:
        return LOCKED_WAIT
    if work.upcoming is None:
        return LONGEST_WAIT
    seconds = work.upcoming.at - time.monotonic()
    if seconds > 2 * AHEAD:
        return min(seconds - AHEAD, LONGEST_WAIT)
    await _sleep(max(0.0, seconds))
    fired = await fire_next_batch(
        sessions, BatchRequest(work.upcoming.shard, late=False), lambda _: None
    )
    progressed()
    return 0.0 if fired else SOON


async def _sleep(seconds: float) -> None:
    """In a thread of its own: an event loop counts whole milliseconds, and others may be at work
    in its usual ones."""
    await asyncio.get_running_loop().run_in_executor(_TIMER, time.sleep, seconds)


class _Upcoming(NamedTuple):
    """The first instant of a shard with nothing due, by `time.monotonic`.

    An event loop's clock may stand still for a millisecond, and then who waits comes too early.
    """

    at: float
    shard: int


class _Work:
    """A batch of each shard in turn; what is late has its turn last, and not for long.

    A backlog must not hold up what is on time: it is looked for again and again. Until then, a
    shard that had more than a batch has another turn, since asking which shards have something due
    takes the longer the more there is. It is to be had as soon as the batch is claimed, and then
    several work: while one waits for PostgreSQL, another decides.
    """

    def __init__(self, sessions: Sessions, progressed: Progress) -> None:
        self.found = False
        self.fired = 0
        self.upcoming: _Upcoming | None = None
        self._sessions = sessions
        self._progressed = progressed
        self._clock = asyncio.get_running_loop().time
        self._turns: deque[BatchRequest] = deque()
        self._sure = 0
        self._look_at = 0.0
        self._end_at = self._clock() + LONGEST_RUN
        self._workers: list[asyncio.Task[None]] = []
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Until nothing is left, or for a second.

        A failure is raised when the others have ended what they were at.
        """
        await self._look()
        for _ in range(min(WORKERS, len(self._turns))):
            self._join()
        try:
            while working := [one for one in self._workers if not one.done()]:
                await asyncio.wait(working)
        finally:
            for one in self._workers:
                one.cancel()
            ended = await asyncio.gather(*self._workers, return_exceptions=True)
        for failure in (*ended, self._failure):
            if failure is not None:
                raise failure

    def _join(self) -> None:
        """One more takes turns; who finds none left is gone."""
        self._workers.append(asyncio.create_task(self._take_turns()))

    async def _look(self) -> None:
        self._look_at = math.inf  # the others go on meanwhile
        try:
            async with self._sessions() as session:
                planned = await list_due_shards(session)
                now = time.monotonic()
        finally:
            self._look_at = self._clock() + LOOK_EVERY
        due = [one for one in planned if one.is_due]
        self.found |= bool(due)
        self._turns = deque(BatchRequest(one.shard, late=False) for one in due if one.has_on_time)
        self._sure = len(self._turns) + 1  # all that are on time, and one that is late
        self._turns.extend(BatchRequest(one.shard, late=True) for one in due if one.has_late)
        upcoming = [_Upcoming(now + one.seconds, one.shard) for one in planned if not one.is_due]
        self.upcoming = min(upcoming, default=None)

    async def _take_turns(self) -> None:
        while self._turns:
            if self._sure <= 0:
                now = self._clock()
                if now > self._end_at or (self._failure is not None and now > self._look_at):
                    return
                if now > self._look_at:
                    await self._look()
                    continue
            self._sure -= 1
            await self._fire(self._turns.popleft())

    async def _fire(self, turn: BatchRequest) -> None:
        try:
            count = await fire_next_batch(self._sessions, turn, self._pass_on)
        except Exception as error:
            self._failure = error
            if is_outage(error) and not sqlstate(error):
                self._turns.clear()  # no answer: others would wait for theirs too
        else:
            self._progressed()
            self.fired += count

    def _pass_on(self, turn: BatchRequest) -> None:
        self._turns.append(turn)
        if sum(not one.done() for one in self._workers) < WORKERS:
            self._join()
