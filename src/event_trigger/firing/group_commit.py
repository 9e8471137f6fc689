"""Group commit: calls that come while a commit is under way share the next one, of all owners.

A call that comes alone is fired at once, and every answer leaves after its commit.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import Context
from typing import Any, Self

from event_trigger.db.citus.sharing import list_sharing
from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.shards import OwnedId
from event_trigger.db.transactions import Transactions
from event_trigger.events.announcer import Announcer
from event_trigger.firing.fire import Call, CallAnswer, Outcome, TriggerBusy, fire_all
from event_trigger.firing.idempotency import CallKey
from event_trigger.firing.pings import PingAnswer
from event_trigger.firing.queued_calls import QueuedCall, measure, take
from event_trigger.idempotency.refusals import StillRunning
from event_trigger.models import EventType
from event_trigger.tracing import (
    TRACING,
    FiredEvent,
    end_firing,
    ended,
    name_event,
    start_firing,
    written_context,
)

WRITERS = 4  # transactions at a time for each of the two kinds of queue: 8 of 10 connections
RETRIES, RETRY_SECONDS = 6, 0.005  # of calls whose trigger another process fires just now
ANSWERED_AFTER = 3  # rounds of the loop: answers have left then, and next calls have been read
TURN_SECONDS = 0.05  # a transaction that takes longer does not hold up the next one


def _of_event(answer: CallAnswer | PingAnswer) -> CallAnswer:
    assert isinstance(answer, CallAnswer)
    return answer


class _Turn:
    """Gives the turn to the next calls once: when its body ends, or has taken too long."""

    def __init__(self, give_on: Callable[[], None]) -> None:
        self._give_on: Callable[[], None] | None = give_on
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def begin(self) -> None:
        """Counts from here on whether it is slow."""
        self._timer = asyncio.get_running_loop().call_later(TURN_SECONDS, self._end)

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._give_on is not None:
            give_on, self._give_on = self._give_on, None
            give_on()


class GroupCommit:
    """Fires the calls of one process, with few transactions for many calls.

    1. Queue the call; it begins a turn, unless one is under way.
    2. Take up to 100 calls of the queue, and fire them in one transaction; in a cluster, in one for
       each shard.
    3. Answer each call after the commit, and announce the new events to every replica.
    4. Let next calls of the same callers arrive, and begin the turn of those that wait. A turn ends
       after 50 ms at the latest: a slow commit does not hold up others.

    Calls of a trigger that another transaction has locked are tried again together, every 5 ms:
    mostly another process fires the same triggers, and lets go of them soon. After 30 ms they move
    to a queue of their own, which waits for the lock without holding up other triggers.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._transactions = Transactions(sessions)
        self._announcer = Announcer(self._transactions)
        self._calls = deque[QueuedCall]()
        self._is_turn_taken = False
        self._busy = list[QueuedCall]()
        self._locked = dict[OwnedId, deque[QueuedCall]]()
        self._tasks = set[asyncio.Task[None]]()
        self._keys_in_use = set[CallKey]()
        self._writers = asyncio.Semaphore(WRITERS)
        self._waiting_writers = asyncio.Semaphore(WRITERS)

    async def ping(self, call: Call) -> PingAnswer:
        """Returns the answer to a ping once it is committed, with its event if it makes one.

        Raises as `fire` does. The span of a ping that makes no event is never ended, so it is not
        sent.
        """
        span = None
        if TRACING.tracer is not None:
            event = FiredEvent(call.trigger.owner_id, call.trigger.id, EventType.HEARTBEAT)
            span = start_firing(TRACING.tracer, event)
            call = call._replace(trace=written_context(span))
        answer = await self._queue(call)
        if isinstance(answer, PingAnswer):
            return answer
        if span is not None:
            end_firing(span, answer.event_id)
        return PingAnswer(answer.configured_at)

    async def fire(self, call: Call) -> CallAnswer:
        """Returns the answer once the event is committed.

        Raises the call's Problem, StillRunning if its key is in use, and outages of the database.
        """
        if TRACING.tracer is None:
            return _of_event(await self._fired(call))
        replay_of = None if call.replayed is None else call.replayed.id
        event = FiredEvent(
            call.trigger.owner_id,
            call.trigger.id,
            EventType.API,
            is_test=call.is_test,
            replay_of=replay_of,
        )
        with ended(span := start_firing(TRACING.tracer, event)):
            fired = await self._fired(call._replace(trace=written_context(span)))
            answer = _of_event(fired)
            name_event(span, answer.event_id)
            return answer

    def _fired(self, call: Call) -> Awaitable[CallAnswer | PingAnswer]:
        key = call.key
        return self._queue(call) if key is None else self._fire_once(call, key)

    async def _fire_once(self, call: Call, key: CallKey) -> CallAnswer | PingAnswer:
        if key in self._keys_in_use:
            raise StillRunning
        self._keys_in_use.add(key)
        try:
            return await self._queue(call)
        finally:
            self._keys_in_use.discard(key)

    def _queue(self, call: Call) -> asyncio.Future[CallAnswer | PingAnswer]:
        queued = QueuedCall(call, asyncio.get_running_loop().create_future())
        if call.trigger in self._locked and call.locks_trigger:
            self._locked[call.trigger].append(queued)
        else:
            self._calls.append(queued)
            self._begin_turn()
        return queued.answer

    def _begin_turn(self) -> None:
        if self._calls and not self._is_turn_taken:
            self._is_turn_taken = True
            self._start(self._take_turn())

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        # with an empty context: the task serves calls of other requests as well
        task = asyncio.create_task(work, context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _take_turn(self) -> None:
        """Fires calls in as few transactions as their shards may share.

        The turn has a writer for a single one; of several, each takes a writer of its own.
        """
        with _Turn(self._end_turn) as turn:
            async with self._writers:
                turn.begin()
                groups = await self._split(take(self._calls))
                if len(groups) == 1:
                    await self._fire_group(groups[0])
                    for _ in range(ANSWERED_AFTER):
                        await asyncio.sleep(0)
                    return
            await asyncio.gather(*map(self._fire_in_turn, groups))

    def _end_turn(self) -> None:
        self._is_turn_taken = False
        self._begin_turn()

    async def _fire_in_turn(self, group: Sequence[QueuedCall]) -> None:
        async with self._writers:
            await self._fire_group(group)

    async def _split(self, calls: Sequence[QueuedCall]) -> Sequence[Sequence[QueuedCall]]:
        """Groups calls by the transactions that they may share; answers all if that fails."""
        shards = {one.call.trigger.shard for one in calls}
        if len(shards) <= 1:
            return [calls]
        try:
            async with self._sessions() as session:
                sharing = await list_sharing(session, shards)
        except Exception as error:
            for one in calls:
                self._answer(one, error)
            return []
        return [[one for one in calls if one.call.trigger.shard in each] for each in sharing]

    async def _empty_locked(self, trigger: OwnedId) -> None:
        queue = self._locked[trigger]
        try:
            while queue:
                async with self._waiting_writers:
                    await self._fire_group(take(queue), waits=True)
        finally:
            del self._locked[trigger]

    async def _fire_group(self, group: Sequence[QueuedCall], *, waits: bool = False) -> None:
        """Fires calls in one transaction, or one by one if that fails while the database is there.

        So only the call at fault gets the error.
        """
        try:
            outcomes: Sequence[Outcome | Exception] = await self._commit(group, waits=waits)
        except Exception as error:
            if len(group) > 1 and not is_outage(error):
                for one in group:
                    await self._fire_group([one], waits=waits)
                return
            outcomes = [error] * len(group)
        for one, outcome in zip(group, outcomes, strict=True):
            self._answer(one, outcome)
        new = [
            (one, outcome.has_destinations)
            for one, outcome in zip(group, outcomes, strict=True)
            if isinstance(outcome, CallAnswer) and not outcome.is_repeated
        ]
        self._announcer.announce(
            (one.call.trigger.owner_id for one, _ in new),
            has_deliveries=any(sent for _, sent in new),
        )
        measure([one for one, _ in new])

    async def _commit(self, group: Sequence[QueuedCall], *, waits: bool) -> Sequence[Outcome]:
        if not group:
            return []
        async with self._transactions.begin() as session:
            return await fire_all(session, [one.call for one in group], waits=waits)

    def _answer(self, queued: QueuedCall, outcome: Outcome | Exception) -> None:
        if queued.answer.done():  # the caller has hung up
            return
        match outcome:
            case TriggerBusy():
                self._try_again(queued)
            case CallAnswer() | PingAnswer():
                queued.answer.set_result(outcome)
            case _:
                queued.answer.set_exception(outcome)

    def _try_again(self, queued: QueuedCall) -> None:
        if queued.retries >= RETRIES or queued.call.trigger in self._locked:
            self._wait_for_lock(queued)
            return
        queued.retries += 1
        self._busy.append(queued)
        if len(self._busy) == 1:
            loop = asyncio.get_running_loop()
            loop.call_later(RETRY_SECONDS, self._retry, context=Context())

    def _retry(self) -> None:
        """Puts the calls of busy triggers in front of those that came after them."""
        busy, self._busy = self._busy, []
        self._calls.extendleft(reversed(busy))
        self._begin_turn()

    def _wait_for_lock(self, queued: QueuedCall) -> None:
        trigger = queued.call.trigger
        if (queue := self._locked.get(trigger)) is not None:
            queue.append(queued)
            return
        self._locked[trigger] = deque([queued])
        self._start(self._empty_locked(trigger))
