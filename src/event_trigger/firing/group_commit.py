"""Group commit: calls that come while a commit is under way share the next one.

Nobody waits for company: a call that comes alone is fired at once, and an answer leaves only after
its commit.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass

from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.shards import OwnedId
from event_trigger.firing.fire import Call, CallAnswer, Outcome, StillRunning, TriggerBusy, fire_all
from event_trigger.firing.idempotency import CallKey

MOST = 100  # calls that share a commit
WRITERS = 4  # transactions at a time in either kind of lane, so that readers find connections

Lane = int | OwnedId  # all triggers of a shard, or one that others hold


@dataclass(eq=False, slots=True)
class _Waiting:
    call: Call
    answer: asyncio.Future[CallAnswer]


class GroupCommit:
    """Fires the calls of one process: for each shard one transaction at a time.

    Calls of a trigger that somebody else holds move to a lane of its own, where they wait for it
    together and hold up nobody else.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._lanes: dict[Lane, deque[_Waiting]] = {}
        self._working: set[asyncio.Task[None]] = set()
        self._keys: set[tuple[OwnedId, CallKey]] = set()
        self._writers = asyncio.Semaphore(WRITERS)
        self._held_up_writers = asyncio.Semaphore(WRITERS)

    async def fire(self, call: Call) -> CallAnswer:
        """Gives the answer once its event is committed; raises the Problem that the call has."""
        if call.key is None:
            return await self._fire(call)
        key = (call.trigger, call.key)
        if key in self._keys:
            raise StillRunning
        self._keys.add(key)
        try:
            return await self._fire(call)
        finally:
            self._keys.discard(key)

    async def _fire(self, call: Call) -> CallAnswer:
        waiting = _Waiting(call, asyncio.get_running_loop().create_future())
        is_held = call.trigger in self._lanes and not call.is_test  # tests lock nothing
        self._line_up(call.trigger if is_held else call.trigger.shard, waiting)
        return await waiting.answer

    def _line_up(self, lane: Lane, waiting: _Waiting) -> None:
        if (line := self._lanes.get(lane)) is not None:
            line.append(waiting)
            return
        self._lanes[lane] = deque([waiting])
        # in no request's context: it is about others' calls as well
        task = asyncio.create_task(self._serve(lane), context=Context())
        self._working.add(task)
        task.add_done_callback(self._working.discard)

    async def _serve(self, lane: Lane) -> None:
        line = self._lanes[lane]
        try:
            while line:
                async with self._writers if isinstance(lane, int) else self._held_up_writers:
                    some = [line.popleft() for _ in range(min(MOST, len(line)))]
                    await self._fire_together(lane, [one for one in some if not one.answer.done()])
        finally:
            del self._lanes[lane]

    async def _fire_together(self, lane: Lane, some: Sequence[_Waiting]) -> None:
        """When that fails for a reason of its own, one by one: it is the culprit's only."""
        try:
            outcomes: Sequence[Outcome | Exception] = await self._commit(lane, some)
        except Exception as error:
            if len(some) > 1 and not is_outage(error):
                for one in some:
                    await self._fire_together(lane, [one])
                return
            outcomes = [error] * len(some)
        for one, outcome in zip(some, outcomes, strict=True):
            self._settle(one, outcome)

    async def _commit(self, lane: Lane, some: Sequence[_Waiting]) -> Sequence[Outcome]:
        if not some:
            return []
        shard, waits = (lane, False) if isinstance(lane, int) else (lane.shard, True)
        async with self._sessions.begin() as session:
            return await fire_all(session, shard, [one.call for one in some], waits=waits)

    def _settle(self, one: _Waiting, outcome: Outcome | Exception) -> None:
        if one.answer.done():  # the caller has gone
            return
        match outcome:
            case TriggerBusy():
                self._line_up(one.call.trigger, one)
            case CallAnswer():
                one.answer.set_result(outcome)
            case _:
                one.answer.set_exception(outcome)
