"""Records the outcomes of attempts in batches: all that ended while the last batch was written."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import structlog

from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.errors import FailureLog
from event_trigger.db.notify import DELIVERIES_ATTEMPTED, notify_rows
from event_trigger.deliveries.attempt import Attempt
from event_trigger.deliveries.queue.deliveries import AttemptOutcome, DeliveryQueue
from event_trigger.deliveries.queue.destinations import (
    DestinationHealth,
    LockedDestination,
    QueueDestinations,
)
from event_trigger.destinations.circuit_breaker import Verdict, verdict_of
from event_trigger.models import DeliveryError, DisabledReason

log = structlog.get_logger()

ATTEMPTS_PER_RECORD = 500
RECORD_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class CompletedAttempt:
    attempt: Attempt
    outcome: AttemptOutcome

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.outcome.status_code)

    @property
    def changes_destination(self) -> bool:
        """Whether the destination's row changes even if its breaker is closed, without failures."""
        gone = self.outcome.error is DeliveryError.GONE
        return gone or self.verdict is not Verdict.ALIVE


class Completer:
    """Records the completed attempts of one process.

    Calls `on_recorded` with those that are recorded, or whose record failed for good.
    """

    def __init__(
        self, sessions: Sessions, *, on_recorded: Callable[[Sequence[CompletedAttempt]], None]
    ) -> None:
        self._sessions = sessions
        self._on_recorded = on_recorded
        self._unrecorded: list[CompletedAttempt] = []
        self._recording: asyncio.Task[None] | None = None
        self._failures = FailureLog(log, "record_failed", outage="record_waits_for_database")

    def add(self, completed: CompletedAttempt) -> None:
        self._unrecorded.append(completed)
        if self._recording is None:
            self._recording = asyncio.create_task(self._record_all())

    async def drain(self, within: float) -> None:
        """Waits until everything is recorded, but no longer than `within` seconds."""
        if self._recording is not None:
            await asyncio.wait({self._recording}, timeout=within)

    async def _record_all(self) -> None:
        try:
            while self._unrecorded:
                batch = self._unrecorded[:ATTEMPTS_PER_RECORD]
                del self._unrecorded[:ATTEMPTS_PER_RECORD]
                by_shard = sorted(batch, key=lambda one: one.attempt.shard)
                for shard, group in groupby(by_shard, key=lambda one: one.attempt.shard):
                    await self._record(shard, list(group))
        finally:
            self._recording = None

    async def _record(self, shard: int, group: Sequence[CompletedAttempt]) -> None:
        """Records attempts, or keeps them for later while the database is away."""
        try:
            await self._record_shard(shard, group)
        except Exception as error:
            ids = [one.attempt.delivery_id for one in group]
            self._failures.failed("record", error, deliveries=ids)
            if is_outage(error):
                self._unrecorded[:0] = group
                await asyncio.sleep(RECORD_RETRY_SECONDS)
                return
            # it would fail again: the leases expire, and other processes try
        else:
            self._failures.succeeded("record")
        self._on_recorded(group)

    async def _record_shard(self, shard: int, group: Sequence[CompletedAttempt]) -> None:
        """Records the attempts of one shard and the health of their destinations.

        1. Locks the destinations whose row changes; most are healthy and need no lock.
        2. Saves their breakers.
        3. Records the attempts. If the answer to a commit was lost and the group is repeated, this
           records nothing, as the leases are over; only step 2 counts twice.
        4. Tells open streams of them.
        """
        changed = {one.attempt.destination_id for one in group if one.changes_destination}
        others = {one.attempt.destination_id for one in group} - changed
        async with self._sessions.begin() as session:
            destinations = QueueDestinations(session)
            if others:
                changed |= await destinations.list_unhealthy(shard, sorted(others))
            if changed:
                locked = await destinations.lock(shard, sorted(changed), wait=True)
                await destinations.save_breakers(shard, [health_of(one, group) for one in locked])
            outcomes = [one.outcome for one in group]
            recorded = await DeliveryQueue(session).record(shard, outcomes)
            attempts = [one.attempt for one in group if one.attempt.delivery_id in recorded]
            named = [(one.owner_id, one.delivery_id) for one in attempts]
            await notify_rows(session, DELIVERIES_ATTEMPTED, named)
        for one in group:
            if one.attempt.delivery_id not in recorded:
                log.warning("attempt_overtaken", delivery_id=one.attempt.delivery_id)


def health_of(
    destination: LockedDestination, group: Sequence[CompletedAttempt]
) -> DestinationHealth:
    """Applies the outcomes to a destination's breaker, in the order in which they came.

    Ignores attempts that went to the URL that the destination had before a change.
    """
    breaker, held_until, disabled_reason = destination.breaker, destination.held_until, None
    now = destination.now
    for one in group:
        attempt = one.attempt
        if (attempt.destination_id, attempt.url) != (destination.id, destination.url):
            continue
        breaker = breaker.after(one.verdict, max_concurrency=destination.max_concurrency, now=now)
        held_until = max((at for at in (held_until, one.outcome.held_until) if at), default=None)
        if one.outcome.error is DeliveryError.GONE:
            disabled_reason = DisabledReason.GONE
    is_held = held_until is not None and held_until > now
    return DestinationHealth(
        destination.id, breaker, held_until if is_held else None, disabled_reason
    )
