"""Group commit: calls that come while a commit is under way share the next one.

A call that comes alone is fired at once, and every answer leaves after its commit.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass

from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.shards import OwnedId
from event_trigger.firing.fire import Call, CallAnswer, Outcome, TriggerBusy, fire_all
from event_trigger.firing.idempotency import CallKey
from event_trigger.idempotency.refusals import StillRunning

CALLS_PER_COMMIT = 100
WRITERS = 4  # transactions at a time for each of the two kinds of queue: 8 of 10 connections

QueueKey = int | OwnedId  # a shard, or one trigger that another transaction has locked


@dataclass(eq=False, slots=True)
class _QueuedCall:
    call: Call
    answer: asyncio.Future[CallAnswer]


class GroupCommit:
    """Fires the calls of one process, with one transaction at a time for each queue.

    1. Queue the call by its shard; the first call of a queue starts a task that empties it.
    2. Take up to 100 calls of the queue, and fire them in one transaction.
    3. Answer each call after the commit.

    Calls of a trigger that another transaction has locked move to a queue of their own, which
    waits for the lock without holding up other triggers.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._queues: dict[QueueKey, deque[_QueuedCall]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys_in_use: set[tuple[OwnedId, CallKey]] = set()
        self._writers = asyncio.Semaphore(WRITERS)
        self._waiting_writers = asyncio.Semaphore(WRITERS)

    async def fire(self, call: Call) -> CallAnswer:
        """Returns the answer once the event is committed.

        Raises the call's Problem, StillRunning if its key is in use, and outages of the database.
        """
        if call.key is None:
            return await self._fire(call)
        key = (call.trigger, call.key)
        if key in self._keys_in_use:
            raise StillRunning
        self._keys_in_use.add(key)
        try:
            return await self._fire(call)
        finally:
            self._keys_in_use.discard(key)

    async def _fire(self, call: Call) -> CallAnswer:
        queued = _QueuedCall(call, asyncio.get_running_loop().create_future())
        is_locked = call.trigger in self._queues and not call.is_test  # tests lock nothing
        self._enqueue(call.trigger if is_locked else call.trigger.shard, queued)
        return await queued.answer

    def _enqueue(self, key: QueueKey, queued: _QueuedCall) -> None:
        if (queue := self._queues.get(key)) is not None:
            queue.append(queued)
            return
        self._queues[key] = deque([queued])
        # with an empty context: the task serves calls of other requests as well
        task = asyncio.create_task(self._empty(key), context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _empty(self, key: QueueKey) -> None:
        queue = self._queues[key]
        try:
            while queue:
                async with self._writers if isinstance(key, int) else self._waiting_writers:
                    size = min(CALLS_PER_COMMIT, len(queue))
                    group = [queue.popleft() for _ in range(size)]
                    await self._fire_group(key, [one for one in group if not one.answer.done()])
        finally:
            del self._queues[key]

    async def _fire_group(self, key: QueueKey, group: Sequence[_QueuedCall]) -> None:
        """Fires calls in one transaction, or one by one if that fails while the database is there.

        So only the call at fault gets the error.
        """
        try:
            outcomes: Sequence[Outcome | Exception] = await self._commit(key, group)
        except Exception as error:
            if len(group) > 1 and not is_outage(error):
                for one in group:
                    await self._fire_group(key, [one])
                return
            outcomes = [error] * len(group)
        for one, outcome in zip(group, outcomes, strict=True):
            self._answer(one, outcome)

    async def _commit(self, key: QueueKey, group: Sequence[_QueuedCall]) -> Sequence[Outcome]:
        if not group:
            return []
        shard, waits = (key, False) if isinstance(key, int) else (key.shard, True)
        async with self._sessions.begin() as session:
            return await fire_all(session, shard, [one.call for one in group], waits=waits)

    def _answer(self, queued: _QueuedCall, outcome: Outcome | Exception) -> None:
        if queued.answer.done():  # the caller has hung up
            return
        match outcome:
            case TriggerBusy():
                self._enqueue(queued.call.trigger, queued)
            case CallAnswer():
                queued.answer.set_result(outcome)
            case _:
                queued.answer.set_exception(outcome)
