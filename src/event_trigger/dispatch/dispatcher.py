"""Fires what is due: claim, insert, advance in one transaction, by the database's clock."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import structlog
from sqlalchemy.exc import DBAPIError

from event_trigger.db.engine import (
    LOCK_NOT_AVAILABLE,
    QUERY_CANCELED,
    Sessions,
    is_outage,
    sqlstate,
)
from event_trigger.dispatch.due import Due, due
from event_trigger.dispatch.planned import list_planned
from event_trigger.dispatch.repository import FIRST, Claimed, Firing, Firings, Place
from event_trigger.models import UnfiredReason
from event_trigger.triggers.history import History, UnfiredOf
from event_trigger.triggers.planning import Plan, Unfired, plan_of_stored
from event_trigger.triggers.repository import OwnedId
from event_trigger.triggers.schedule import stretch_between

log = structlog.get_logger()

BATCH = 1000
WORKERS = 3
ONE_BY_ONE = 250
LARGEST_BATCH = 64 * 1024 * 1024  # bytes of payloads, as they are stored
LONGEST_DECIDING = 0.25  # seconds: a cron that missed much takes a millisecond or two
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
    fired = await _fire_shard(sessions, _Turn(work.upcoming.shard, late=False), lambda _: None)
    progressed()
    return 0.0 if fired else SOON


async def _sleep(seconds: float) -> None:
    """In a thread of its own: an event loop counts whole milliseconds, and others may be at work
    in its usual ones."""
    await asyncio.get_running_loop().run_in_executor(_TIMER, time.sleep, seconds)


class _Turn(NamedTuple):
    """To fire a batch of what is due in a shard: what is late, or what is on time."""

    shard: int
    late: bool
    after: Place = FIRST


class _Upcoming(NamedTuple):
    """The first instant of a shard with nothing due, by `time.monotonic`.

    An event loop's clock may stand still for a millisecond, and then who waits comes too early.
    """

    at: float
    shard: int


PassOn = Callable[[_Turn], None]


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
        self._turns: deque[_Turn] = deque()
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
                planned = await list_planned(session)
                now = time.monotonic()
        finally:
            self._look_at = self._clock() + LOOK_EVERY
        due = [one for one in planned if one.is_due]
        self.found |= bool(due)
        self._turns = deque(_Turn(one.shard, late=False) for one in due if one.has_on_time)
        self._sure = len(self._turns) + 1  # all that are on time, and one that is late
        self._turns.extend(_Turn(one.shard, late=True) for one in due if one.has_late)
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

    async def _fire(self, turn: _Turn) -> None:
        try:
            count = await _fire_shard(self._sessions, turn, self._pass_on)
        except Exception as error:
            self._failure = error
            if is_outage(error) and not sqlstate(error):
                self._turns.clear()  # no answer: others would wait for theirs too
        else:
            self._progressed()
            self.fired += count

    def _pass_on(self, turn: _Turn) -> None:
        self._turns.append(turn)
        if sum(not one.done() for one in self._workers) < WORKERS:
            self._join()


async def _fire_shard(sessions: Sessions, turn: _Turn, pass_on: PassOn) -> int:
    """Fires one batch; when it fails for a reason of its own, one by one, to find the culprit.

    If there may be more, it passes the next turn on before it fires. What the claims pass over, or
    what is left of a batch that is too large, has its turn when it is looked for again.
    """
    try:
        fired = await _fire_batch(sessions, turn, pass_on, limit=BATCH)
        if fired or not turn.late or turn.after != FIRST:
            return fired
        return await _fire_waited_for(sessions, turn, pass_on)
    except Exception as error:
        if is_outage(error) and sqlstate(error) != QUERY_CANCELED:
            raise
        log.exception("batch_failed", shard=turn.shard)
    return await _fire_one_by_one(sessions, turn.shard)


async def _fire_batch(
    sessions: Sessions, turn: _Turn, pass_on: PassOn, *, limit: int, wait: bool = False
) -> int:
    async with sessions.begin() as session:
        firings = Firings(session)
        claimed = await firings.claim_due(
            turn.shard, limit, after=turn.after, late=turn.late, wait=wait
        )
        if len(claimed) == BATCH:
            last = claimed[-1]
            pass_on(turn._replace(after=Place(last.next_fire_at, last.id)))
        if claimed:
            await _record(firings, turn.shard, claimed, most=max(1, BATCH // len(claimed)))
    return len(claimed)


async def _fire_waited_for(sessions: Sessions, turn: _Turn, pass_on: PassOn) -> int:
    """Queues for a late row: calls that hand its lock to each other never leave it free."""
    try:
        return await _fire_batch(sessions, turn, pass_on, limit=1, wait=True)
    except DBAPIError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        return 0


async def _fire_one_by_one(sessions: Sessions, shard: int) -> int:
    for count in range(ONE_BY_ONE):
        async with sessions.begin() as session:
            firings = Firings(session)
            claimed = await firings.claim_due(shard, 1)
            if not claimed:
                return count
            try:
                async with session.begin_nested():
                    await _record(firings, shard, claimed, most=1)
            except Exception as error:
                if is_outage(error):
                    raise
                await _set_aside(firings, claimed[0], error)
    return ONE_BY_ONE


async def _record(firings: Firings, shard: int, claimed: Sequence[Claimed], *, most: int) -> None:
    """Fires as many as are decided in time and not too large together; the others are still due.

    A trigger whose schedule cannot be read is set aside, and holds up nobody.
    """
    clock = asyncio.get_running_loop().time
    fired: list[Firing] = []
    until, size = clock() + LONGEST_DECIDING, 0
    for row in claimed:
        few = max(1, min(most, LARGEST_BATCH // max(1, row.payload_size)))
        try:
            decision = _decide(row, few)
        except Exception as error:
            await _set_aside(firings, row, error)
            continue
        fired.append(Firing(row, decision))
        size += row.payload_size * len(decision.fires)
        if size > LARGEST_BATCH or clock() > until:
            break
    if fired:
        await firings.record_fired(shard, fired)


def _decide(row: Claimed, most: int) -> Due:
    plan = _plan_of(row)
    fired = 0 if plan.max_fires is None else row.scheduled_count
    decision = due(plan, planned=row.next_fire_at, now=row.now, fired=fired, most=most)
    for unfired in decision.unfired:
        _log_unfired(row, unfired)
    return decision


async def _set_aside(firings: Firings, row: Claimed, error: Exception) -> None:
    log.error("trigger_set_aside", trigger_id=row.id, exc_info=error)
    reason = f"This trigger could not fire ({type(error).__name__}) and was set aside."
    key, settled_until = OwnedId(row.owner_id, row.id), row.settled_until
    if (unfired := _failed(row)) is not None:
        settled_until = unfired.stretch.last
        found = UnfiredOf(row.owner_id, row.id, row.version, unfired)
        await History(firings.session).record_unfired(key.shard, [found])
    await firings.set_aside(key, reason, settled_until=settled_until)


def _failed(row: Claimed) -> Unfired | None:
    """What was due and will not fire, if the schedule can be read at all."""
    try:
        schedule = _plan_of(row).schedule
        stretch = stretch_between(schedule, after=row.settled_until, until=row.now)
    except Exception:
        log.warning("schedule_unreadable", trigger_id=row.id)
        return None
    return None if stretch is None else Unfired(stretch, UnfiredReason.FAILED)


def _plan_of(row: Claimed) -> Plan:
    return plan_of_stored(row.details, anchor=row.anchor_at)


def _log_unfired(row: Claimed, unfired: Unfired) -> None:
    log.warning(
        "instants_unfired",
        trigger_id=row.id,
        reason=unfired.reason,
        first=unfired.stretch.first.isoformat(),
        last=unfired.stretch.last.isoformat(),
        count=unfired.stretch.count,
    )
