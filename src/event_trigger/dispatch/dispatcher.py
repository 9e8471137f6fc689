"""Fires what is due: claim, insert, advance in one transaction, by the database's clock."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from sqlalchemy import Row
from sqlalchemy.exc import DBAPIError

from event_trigger.db.engine import LOCK_NOT_AVAILABLE, Sessions, is_outage, sqlstate
from event_trigger.dispatch.due import due
from event_trigger.dispatch.repository import DueShard, Firing, Firings
from event_trigger.triggers.planning import plan_of
from event_trigger.triggers.repository import OwnedId

log = structlog.get_logger()

BATCH = 250  # a cron that missed much takes a millisecond or two to compute
LONGEST_WAIT = 1.0  # seconds: polling alone is enough, notifications only make it quicker
LOCKED_WAIT = 0.02  # due rows that others hold are looked at again soon
Progress = Callable[[], None]


async def fire_due(sessions: Sessions, progressed: Progress) -> float:
    """Fires a batch of each shard that has something due, and says so after each.

    Gives the seconds to wait for the next instant: 0 while there may be more, 1 at the most.
    """
    async with sessions() as session:
        shards = await Firings(session).list_due_shards()
    if await _fire_shards(sessions, shards, progressed):
        return 0.0
    progressed()
    async with sessions() as session:
        seconds = await Firings(session).seconds_until_next()
    if seconds is None:
        return LONGEST_WAIT
    return min(max(seconds, LOCKED_WAIT if shards else 0.0), LONGEST_WAIT)


async def _fire_shards(sessions: Sessions, shards: Sequence[DueShard], progressed: Progress) -> int:
    """Fires a batch of each shard; one that fails is said when the others have had their turn."""
    fired, failure = 0, None
    for shard in shards:
        try:
            fired += await _fire_shard(sessions, shard)
            progressed()
        except Exception as error:
            if is_outage(error) and not sqlstate(error):
                raise  # no answer: the others would wait for theirs too
            failure = error
    if failure is not None:
        raise failure
    return fired


async def _fire_shard(sessions: Sessions, due: DueShard) -> int:
    """Fires one batch; when it fails for a reason of its own, one by one, to find the culprit."""
    try:
        fired = await _fire_batch(sessions, due.shard, BATCH)
        return fired or (due.is_late and await _fire_waited_for(sessions, due.shard))
    except Exception as error:
        if is_outage(error):
            raise
        log.exception("batch_failed", shard=due.shard)
    return await _fire_one_by_one(sessions, due.shard)


async def _fire_waited_for(sessions: Sessions, shard: int) -> int:
    """Queues for a late row: calls that hand its lock to each other never leave it free."""
    try:
        return await _fire_batch(sessions, shard, 1, wait=True)
    except DBAPIError as error:
        if sqlstate(error) != LOCK_NOT_AVAILABLE:
            raise
        return 0


async def _fire_batch(sessions: Sessions, shard: int, limit: int, *, wait: bool = False) -> int:
    async with sessions.begin() as session:
        firings = Firings(session)
        claimed = await firings.claim_due(shard, limit, wait=wait)
        if claimed:
            await _record(firings, shard, claimed)
    return len(claimed)


async def _fire_one_by_one(sessions: Sessions, shard: int) -> int:
    for count in range(BATCH):
        async with sessions.begin() as session:
            firings = Firings(session)
            claimed = await firings.claim_due(shard, 1)
            if not claimed:
                return count
            try:
                async with session.begin_nested():
                    await _record(firings, shard, claimed)
            except Exception as error:
                if is_outage(error):
                    raise
                await _set_aside(firings, claimed[0], error)
    return BATCH


async def _record(firings: Firings, shard: int, claimed: Sequence[Row[*tuple[Any, ...]]]) -> None:
    fired = [one for row in claimed if (one := await _decide(firings, row)) is not None]
    if fired:
        await firings.record_fired(shard, fired)


async def _decide(firings: Firings, row: Row[*tuple[Any, ...]]) -> Firing | None:
    """A trigger whose schedule cannot be read is set aside, and holds up nobody."""
    try:
        plan = plan_of(json.loads(row.details), anchor=row.anchor_at)
        decision = due(plan, planned=row.next_fire_at, now=row.now, fired=row.scheduled_count)
    except Exception as error:
        await _set_aside(firings, row, error)
        return None
    if decision.scheduled_for != row.next_fire_at:
        log.warning(
            "instants_missed",
            trigger_id=row.id,
            planned=row.next_fire_at.isoformat(),
            fired_for=decision.scheduled_for and decision.scheduled_for.isoformat(),
        )
    return Firing(
        trigger_id=row.id,
        scheduled_for=decision.scheduled_for,
        next_fire_at=decision.next_fire_at,
    )


async def _set_aside(firings: Firings, row: Row[*tuple[Any, ...]], error: Exception) -> None:
    log.error("trigger_set_aside", trigger_id=row.id, exc_info=error)
    reason = f"This trigger could not fire ({type(error).__name__}) and was set aside."
    await firings.set_aside(OwnedId(row.owner_id, row.id), reason)
