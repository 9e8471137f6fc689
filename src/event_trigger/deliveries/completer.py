"""Records the outcomes of attempts in batches: all that ended while the last batch was written."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import suppress

import structlog

from event_trigger.db.citus.detect import is_known_cluster
from event_trigger.db.engine import (
    DEADLOCK_DETECTED,
    LOCK_NOT_AVAILABLE,
    QUERY_CANCELED,
    Sessions,
    engine_of,
    is_outage,
    sqlstate,
)
from event_trigger.db.errors import FailureLog
from event_trigger.db.plain_session import ReadSession
from event_trigger.db.shards import OwnedId, by_shard
from event_trigger.db.transactions import Transactions
from event_trigger.deliveries.busy_destinations import BusyDestinations
from event_trigger.deliveries.completed import CompletedAttempt, health_of
from event_trigger.deliveries.news import exhausted_news, health_news
from event_trigger.deliveries.outcome_log import HealthChange, log_exhausted, log_health
from event_trigger.deliveries.queue.destinations import QueueDestinations
from event_trigger.deliveries.queue.outcomes import DeliveryOutcomes
from event_trigger.deliveries.queue.requests import KeptRequests
from event_trigger.models import DeliveryStatus
from event_trigger.notices.changes import record_changes
from event_trigger.telemetry import (
    DELIVERIES_EXHAUSTED,
    DELIVERY_ATTEMPTS,
    DELIVERY_DURATION,
    DESTINATION_ATTEMPTS,
)

log = structlog.get_logger()

ATTEMPTS_PER_RECORD = 500  # of which a statement keeps 4 MiB of requests at most: LARGEST_KEPT each
RECORD_RETRY_SECONDS = 1.0
_OF_SOME_ROWS = {LOCK_NOT_AVAILABLE, DEADLOCK_DETECTED, QUERY_CANCELED}


class Completer:
    """Records the completed attempts of one process.

    Those to a destination, or of a delivery, that another transaction has locked wait in their
    order for a later turn, and keep no others waiting.

    Calls `on_recorded` with those that are recorded, or whose record failed for good.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        on_recorded: Callable[[Sequence[CompletedAttempt]], None],
        counts_destinations: bool,
    ) -> None:
        self._transactions = Transactions(sessions)
        self._engine = engine_of(sessions).sync_engine
        self._counts_destinations = counts_destinations
        self._on_recorded = on_recorded
        self._unrecorded: list[CompletedAttempt] = []
        self._added = asyncio.Event()
        self._busy = BusyDestinations()
        self.locked_destinations = set[int]()  # by others, when attempts were to be recorded last
        self._recording: asyncio.Task[None] | None = None
        self._failures = FailureLog(log, "record_failed", outage="record_waits_for_database")

    def add(self, completed: CompletedAttempt) -> None:
        if completed.attempt.trace is not None:
            completed.attempt.trace.end(completed.outcome)
        self._unrecorded.append(completed)
        self._added.set()
        if self._recording is None:
            self._recording = asyncio.create_task(self._record_all())

    async def drain(self, within: float) -> None:
        """Waits until everything is recorded, but no longer than `within` seconds."""
        if self._recording is not None:
            await asyncio.wait({self._recording}, timeout=within)

    async def _record_all(self) -> None:
        try:
            while self._unrecorded:
                batch = self._take_batch()
                if not batch:
                    await self._until_next_turn()
                for group in self._groups_of(batch):
                    await self._record(group)
        finally:
            self._recording = None

    def _take_batch(self) -> list[CompletedAttempt]:
        """Takes the first attempts that need not wait for their destination's turn."""
        now = asyncio.get_running_loop().time()
        batch: list[CompletedAttempt] = []
        rest: list[CompletedAttempt] = []
        for one in self._unrecorded:
            has_to_wait = self._busy.has_to_wait(one.attempt.destination_id, now=now)
            is_left = has_to_wait or len(batch) == ATTEMPTS_PER_RECORD
            (rest if is_left else batch).append(one)
        self._unrecorded = rest
        return batch

    def _groups_of(self, batch: Sequence[CompletedAttempt]) -> Iterable[Sequence[CompletedAttempt]]:
        """Splits a batch by shards in a cluster, where a transaction is of one shard."""
        if not batch or is_known_cluster(self._engine):
            return by_shard(batch).values()
        return [batch]

    async def _until_next_turn(self) -> None:
        """Waits for the first busy destination's turn, or for the next attempt."""
        seconds = self._busy.seconds_until_next(now=asyncio.get_running_loop().time())
        self._added.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._added.wait()

    async def _record(self, group: Sequence[CompletedAttempt]) -> None:
        """Records attempts; keeps for later those that have to wait.

        These are all while the database is away, and else those to destinations, or of deliveries,
        that others have locked. If recording several shards fails, each is recorded alone.
        """
        left = group
        waiting: Sequence[CompletedAttempt] = ()
        locked: Collection[int] = ()
        try:
            if all(one.is_plain for one in group) and not is_known_cluster(self._engine):
                left = await self._record_at_once(group)
            if left:
                waiting, locked = await self._record_group(left)
        except Exception as error:
            is_away = is_outage(error) and not self._is_of_some_rows(sqlstate(error))
            if not is_away and len(shards := by_shard(left)) > 1:
                for one_shard in shards.values():
                    await self._record(one_shard)
                return
            ids = [one.attempt.delivery_id for one in left]
            self._failures.failed("record", error, deliveries=ids)
            if is_away:
                self._unrecorded[:0] = left
                await asyncio.sleep(RECORD_RETRY_SECONDS)
                return
            # any other error would come again: the leases expire, and other processes try
            waiting = left if is_outage(error) else ()
        else:
            self._failures.succeeded("record")
        tried = {one.attempt.destination_id for one in group}
        busy = {one.attempt.destination_id for one in waiting}
        self.locked_destinations = {*(self.locked_destinations - tried), *locked}
        self._busy.note(tried, busy, now=asyncio.get_running_loop().time())
        self._unrecorded[:0] = waiting
        kept = {one.attempt.delivery_id for one in waiting}
        self._on_recorded([one for one in left if one.attempt.delivery_id not in kept])

    def _is_of_some_rows(self, code: str) -> bool:
        """Tells whether other rows can be recorded, though an outage has this SQLSTATE.

        In a cluster a server that answers may tell of a node that does not.
        """
        return code in _OF_SOME_ROWS or (bool(code) and is_known_cluster(self._engine))

    async def _record_at_once(
        self, group: Sequence[CompletedAttempt]
    ) -> Sequence[CompletedAttempt]:
        """Records successes with one statement, which is committed by itself; returns the rest.

        These are all if one of their destinations is not healthy. Else they are those whose lease
        is over, or whose delivery another transaction has locked or just changed.
        """
        async with self._transactions.alone() as session:
            if await QueueDestinations(session).list_unhealthy(_destinations_of(group)):
                return group
            recorded = await _record_outcomes(session, group)
        ended = [one for one in group if one.attempt.delivery_id in recorded]
        self._note(ended, recorded, ())
        self._on_recorded(ended)
        return [one for one in group if one.attempt.delivery_id not in recorded]

    async def _record_group(
        self, group: Sequence[CompletedAttempt]
    ) -> tuple[Sequence[CompletedAttempt], set[int]]:
        """Records attempts and the health of their destinations in a transaction.

        Returns those that have to wait, of which it has recorded nothing, and the ids of the
        destinations that others have locked.

        1. Locks the deliveries; those that others have locked wait.
        2. Saves the breakers of the destinations that are not busy.
        3. Records the attempts to them, and tells open streams. If the answer to a commit was lost
           and the group is repeated, this records nothing, as the leases are over; only step 2
           counts twice.
        4. Keeps the rendered requests of failed attempts, and deletes those that no later attempt
           needs.
        5. Records what listening destinations hear of.
        """
        async with self._transactions.begin() as session:
            locked = await DeliveryOutcomes(session).lock([one.outcome for one in group])
            free = [one for one in group if one.attempt.delivery_id not in locked]
            busy, changes = await _save_health(QueueDestinations(session), free)
            free = [one for one in free if one.attempt.destination_id not in busy]
            if not free:
                return group, busy
            recorded = await _record_outcomes(session, free)
            ended = [one for one in free if one.attempt.delivery_id in recorded]
            for shard, some in by_shard(ended).items():
                if requests := [one.request_to_keep for one in some if one.request_to_keep]:
                    await KeptRequests(session).keep(shard, requests)
                if kept := [one.attempt.delivery_id for one in some if one.is_kept_in_vain]:
                    await KeptRequests(session).forget(shard, sorted(kept))
                changed = [one for one in changes if one.before.shard == shard]
                news = [*health_news(changed), *exhausted_news(some)]
                await record_changes(session, shard, news)
        self._note(free, recorded, changes)
        tried = {one.attempt.delivery_id for one in free}
        return [one for one in group if one.attempt.delivery_id not in tried], busy

    def _note(
        self,
        group: Sequence[CompletedAttempt],
        recorded: Collection[int],
        changes: Sequence[HealthChange],
    ) -> None:
        """Logs and counts what is committed."""
        ended = [one for one in group if one.attempt.delivery_id in recorded]
        if len(ended) < len(group):
            for one in group:
                if one.attempt.delivery_id not in recorded:
                    log.warning("attempt_overtaken", delivery_id=one.attempt.delivery_id)
        log_health(changes)
        log_exhausted(ended)
        self._measure(ended)

    def _measure(self, ended: Sequence[CompletedAttempt]) -> None:
        for one in ended:
            outcome = one.outcome
            DELIVERY_ATTEMPTS[outcome.status].inc()
            DELIVERY_DURATION.observe(outcome.duration_ms / 1000)
            if outcome.status is DeliveryStatus.EXHAUSTED:
                DELIVERIES_EXHAUSTED.inc()
            if self._counts_destinations:
                destination = str(one.attempt.destination_id)
                DESTINATION_ATTEMPTS.labels(destination, outcome.status).inc()


async def _record_outcomes(
    session: ReadSession, group: Iterable[CompletedAttempt]
) -> Collection[int]:
    return await DeliveryOutcomes(session).record([one.outcome for one in group])


def _destinations_of(group: Iterable[CompletedAttempt]) -> list[OwnedId]:
    found = {one.attempt.destination_id: one.attempt.owner_id for one in group}
    return [OwnedId(owner_id, found_id) for found_id, owner_id in sorted(found.items())]


async def _save_health(
    destinations: QueueDestinations, group: Sequence[CompletedAttempt]
) -> tuple[set[int], Sequence[HealthChange]]:
    """Saves the breakers of the destinations whose row changes; most are healthy and need no lock.

    Skips those that others have locked: a set or an action of their project may hold them for
    seconds. Returns their ids, and the changes of the others.
    """
    named = _destinations_of(group)
    changed = {one.attempt.destination_id for one in group if one.changes_destination}
    if others := [one for one in named if one.id not in changed]:
        changed |= await destinations.list_unhealthy(others)
    busy, changes = set[int](), list[HealthChange]()
    for shard, some in by_shard(one for one in named if one.id in changed).items():
        locked = await destinations.lock_free(shard, sorted(one.id for one in some))
        saved = [HealthChange(one, health_of(one, group)) for one in locked]
        await destinations.save_breakers(shard, [one.after for one in saved])
        changes += saved
        if missing := {one.id for one in some} - {one.id for one in locked}:
            busy |= await destinations.list_existing(shard, sorted(missing))
    return busy, changes
