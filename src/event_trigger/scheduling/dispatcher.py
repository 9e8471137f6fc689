"""Decides which due triggers are fired next, and when, by the database's clock."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from event_trigger.db.engine import is_outage, sqlstate
from event_trigger.scheduling.batch import BatchRequest
from event_trigger.scheduling.commits import Commits
from event_trigger.scheduling.due_shards import DueList, read_due_shards
from event_trigger.scheduling.repository import START

WORKERS = 3
REQUERY_SECONDS = 0.1  # after this, late batches wait for shards that have become due since
RUN_SECONDS = 1.0  # so that shutdown need not wait for the end of a storm
LONGEST_WAIT_SECONDS = 1.0  # polling alone is enough; notifications only make it quicker
LEAD_SECONDS = 0.008  # listing the due shards takes 3 ms, at worst 8
LOCKED_WAIT_SECONDS = 0.02  # until due rows that another transaction holds are tried again
MOVED_WAIT_SECONDS = 0.001  # the instant was moved, or another replica has fired it

_TIMER = ThreadPoolExecutor(1, thread_name_prefix="timer")


async def fire_due(commits: Commits) -> float:
    """Fires due triggers for about a second, or until none is due soon; gives the seconds to wait.

    1. Fire the due batches of all shards. If one fired, repeat this: there may be more.
    2. If all due rows are locked, return 20 ms; if no trigger is due soon, return a second.
    3. If the next instant is more than 16 ms away, return the time until 8 ms before it.
    4. Otherwise sleep until the instant, and fire a batch of its shard at once, with triggers that
       are due by then in others. The due shards are listed before the instant, since listing them
       takes longer than firing. Then go back to step 1.

    The commits of on-time batches run beside all these steps. While they do, the due shards are
    listed again every 20 ms, as their triggers have no next instants yet, and others may be due.
    """
    fired, stop_at, wait = commits.fired, time.monotonic() + RUN_SECONDS, 0.0
    try:
        while time.monotonic() < stop_at:
            may_hide_instants = bool(commits)
            wait = await _fire_next(commits)
            if wait and not may_hide_instants:
                break
            if wait:
                await commits.wait(min(wait, LOCKED_WAIT_SECONDS))
        else:
            wait = 0.0
        commits.check()
    except asyncio.CancelledError:
        commits.cancel()
        raise
    if commits.fired == fired and not commits:
        commits.on_batch()
    return wait


async def _fire_next(commits: Commits) -> float:
    """Fires what is due now, or at an instant that is very near; gives 0 if anything fired."""
    workers = _DispatchRun(commits)
    await workers.run()
    if workers.fired:
        return 0.0
    if workers.found_due:
        return LOCKED_WAIT_SECONDS
    if workers.upcoming is None:
        return LONGEST_WAIT_SECONDS
    seconds = workers.upcoming.at - time.monotonic()
    if seconds > 2 * LEAD_SECONDS:
        return min(seconds - LEAD_SECONDS, LONGEST_WAIT_SECONDS)
    await _sleep(max(0.0, seconds))
    request = BatchRequest(workers.upcoming.shards, late=False)
    fired = await commits.fire(request, lambda _: None)
    return 0.0 if fired else MOVED_WAIT_SECONDS


async def _sleep(seconds: float) -> None:
    """Sleeps in a thread of its own: an event loop rounds to milliseconds, and the default
    executor's threads may be busy."""
    await asyncio.get_running_loop().run_in_executor(_TIMER, time.sleep, seconds)


class _Upcoming(NamedTuple):
    """The next instant, the shard where it is, and those with one soon after it.

    `at` is on the clock `time.monotonic`: an event loop's may lag by a millisecond, so that a sleep
    would end too early.
    """

    at: float
    shards: Sequence[int]

    @classmethod
    def of(cls, found: DueList) -> "_Upcoming | None":
        waiting = [(one.due_in_seconds, one.shard) for one in found.shards if not one.is_due]
        if not waiting:
            return None
        first, shard = min(waiting)
        soon = tuple(one for seconds, one in waiting if seconds <= first + LEAD_SECONDS)
        return cls(found.read_at + first, (shard,) if found.in_cluster else soon)


class _DispatchRun:
    """Fires due triggers with up to three workers: those that are on time first, late ones after.

    Due shards are queried again every 100 ms, so that a backlog delays on-time triggers by one
    batch at most.

    1. List the due shards, and queue batch requests: one for the on-time triggers of all shards,
       also those that will be due within 8 ms and may be by the time of the claim (in a cluster one
       for each due shard), then one for the late ones of each shard.
    2. Each worker takes the first request and fires its batch. A full batch appends a request for
       the rows after it as soon as it is claimed, since listing the due shards takes longer the
       more is due; a batch of several shards puts those in front that have to be fired alone. While
       one worker waits for PostgreSQL, another decides.
    3. After 100 ms, once all on-time requests and one late one are taken, a worker lists the due
       shards again and replaces the queue. If no worker is free to, the run itself does.
    4. Stop when the queue is empty, or after a second once all guaranteed requests are taken.
    """

    def __init__(self, commits: Commits) -> None:
        self.found_due = False
        self.fired = 0
        self.upcoming: _Upcoming | None = None
        self._commits = commits
        self._clock = asyncio.get_running_loop().time
        self._requests: deque[BatchRequest] = deque()
        self._guaranteed = 0  # requests still to be taken, whatever the time
        self._requery_at = 0.0
        self._stop_at = self._clock() + RUN_SECONDS
        self._tasks: list[asyncio.Task[None]] = []
        self._late_in_work: set[int] = set()  # shards whose late triggers a worker is firing
        self._failure: Exception | None = None

    async def run(self) -> None:
        """Runs until no request is left, or for about a second.

        Raises a batch's failure, but only when the other workers have ended their batches.
        """
        await self._list_due()
        self._start_workers()
        try:
            while running := self._running():
                await asyncio.wait(running, timeout=REQUERY_SECONDS)
                await self._look_again()
        finally:
            for task in self._tasks:
                task.cancel()
            ended = await asyncio.gather(*self._tasks, return_exceptions=True)
        for failure in (*ended, self._failure):
            if failure is not None:
                raise failure

    def _running(self) -> list[asyncio.Task[None]]:
        return [task for task in self._tasks if not task.done()]

    def _start_workers(self) -> None:
        for _ in range(min(WORKERS - len(self._running()), len(self._requests))):
            self._tasks.append(asyncio.create_task(self._work()))

    async def _look_again(self) -> None:
        """Lists the due shards again while a worker is held up, by a lock or a heavy batch."""
        now = self._clock()
        is_idle = not self._requests and self._failure is None and self._running()
        if is_idle and self._requery_at < now < self._stop_at:
            try:
                await self._list_due(besides=self._late_in_work)
            except Exception as error:
                self._failure = error
            self._start_workers()

    async def _list_due(self, *, besides: Collection[int] = ()) -> None:
        """Replaces the queue of requests by those of the shards that are due now.

        Leaves out the late triggers of the shards `besides`, at which workers are.
        """
        self._requery_at = math.inf  # the other workers go on during the query
        try:
            found = await read_due_shards(self._commits.sessions, self._commits.triggers)
        finally:
            self._requery_at = self._clock() + REQUERY_SECONDS
        due = [one for one in found.shards if one.is_due]
        self.found_due |= bool(due)
        self._commits.overlap = not found.in_cluster
        on_time = [one.shard for one in due if one.has_on_time]
        near = (one for one in found.shards if one.due_in_seconds <= LEAD_SECONDS)
        soon = [one.shard for one in near if not one.is_due]
        shared = [[*on_time, *soon]] if on_time else []
        together = [[one] for one in on_time] if found.in_cluster else shared
        self._requests = deque(BatchRequest(shards, late=False) for shards in together)
        self._guaranteed = len(self._requests) + 1  # all on-time requests, and one late one
        late = [one.shard for one in due if one.has_late and one.shard not in besides]
        self._requests.extend(BatchRequest([shard], late=True) for shard in late)
        self.upcoming = _Upcoming.of(found)

    async def _work(self) -> None:
        """Fires one request after the other until the queue is empty or the time is over."""
        while self._requests:
            if self._guaranteed <= 0:
                now = self._clock()
                if now > self._stop_at or (self._failure is not None and now > self._requery_at):
                    return
                if now > self._requery_at:
                    await self._list_due()
                    continue
            self._guaranteed -= 1
            await self._fire(self._requests.popleft())

    async def _fire(self, request: BatchRequest) -> None:
        if request.late:
            self._late_in_work.update(request.shards)
        try:
            count = await self._commits.fire(request, self._enqueue)
        except Exception as error:
            self._failure = error
            if is_outage(error) and not sqlstate(error):
                self._requests.clear()  # the server is away: the other requests would fail too
        else:
            self.fired += count
        finally:
            if request.late:
                self._late_in_work.difference_update(request.shards)

    def _enqueue(self, request: BatchRequest) -> None:
        """Queues a request, with a worker for it if one is missing.

        One for on-time triggers from the start is a part of a batch of several shards: it is next.
        """
        if request.late or request.after != START:
            self._requests.append(request)
        else:
            self._requests.appendleft(request)
            self._guaranteed += 1
        self._start_workers()
