"""Records what attempts have come to, as much at a time as has come together meanwhile."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import structlog

from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.errors import FailureLog
from event_trigger.deliveries.attempt import Leased
from event_trigger.deliveries.queue import AttemptOutcome, Claimed, DestinationHealth, Queue
from event_trigger.destinations.circuit_breaker import CircuitBreaker, Verdict, judge
from event_trigger.models import DeliveryError, DisabledReason

log = structlog.get_logger()

LARGEST_RECORD = 500
RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class CompletedAttempt:
    """An attempt that has ended."""

    delivery: Leased
    outcome: AttemptOutcome

    @property
    def verdict(self) -> Verdict:
        """Judges the destination, not the delivery."""
        return judge(self.outcome.status_code)

    @property
    def changes_its_destination(self) -> bool:
        """Whether the destination's row changes even if its breaker is at rest."""
        gone = self.outcome.error is DeliveryError.GONE
        return gone or self.verdict is not Verdict.ALIVE


class Completer:
    """What one process has to record; `settled` is told when some needs no more care."""

    def __init__(
        self, sessions: Sessions, *, settled: Callable[[Sequence[CompletedAttempt]], None]
    ) -> None:
        self._sessions = sessions
        self._settled = settled
        self._waiting: list[CompletedAttempt] = []
        self._recording: asyncio.Task[None] | None = None
        self._failures = FailureLog(log, "record_failed", outage="record_waits_for_database")

    def add(self, done: CompletedAttempt) -> None:
        self._waiting.append(done)
        if self._recording is None:
            self._recording = asyncio.create_task(self._record_all())

    async def drain(self, within: float) -> None:
        if self._recording is not None:
            await asyncio.wait({self._recording}, timeout=within)

    async def _record_all(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[:LARGEST_RECORD]
                del self._waiting[:LARGEST_RECORD]
                by_shard = sorted(batch, key=lambda one: one.delivery.shard)
                for shard, group in groupby(by_shard, key=lambda one: one.delivery.shard):
                    await self._record(shard, list(group))
        finally:
            self._recording = None

    async def _record(self, shard: int, group: Sequence[CompletedAttempt]) -> None:
        """Keeps what could not be recorded for when the database is back."""
        try:
            await self._record_shard(shard, group)
        except Exception as error:
            ids = [one.delivery.delivery_id for one in group]
            self._failures.failed("record", error, deliveries=ids)
            if is_outage(error):
                self._waiting[:0] = group
                await asyncio.sleep(RETRY_AFTER)
                return
            # it would fail again: the leases end, and others try
        else:
            self._failures.succeeded("record")
        self._settled(group)

    async def _record_shard(self, shard: int, group: Sequence[CompletedAttempt]) -> None:
        """Recording twice, after an answer that was lost, changes nothing: the lease is over."""
        changing = {one.delivery.destination_id for one in group if one.changes_its_destination}
        others = {one.delivery.destination_id for one in group} - changing
        async with self._sessions.begin() as session:
            queue = Queue(session)
            restless = await queue.list_restless(shard, sorted(others)) if others else set()
            if touched := changing | restless:
                rows = await queue.lock_destinations(shard, sorted(touched), wait=True)
                await queue.save_breakers(shard, [health_of(row, group) for row in rows])
            kept = await queue.record(shard, [one.outcome for one in group])
        for one in group:
            if one.delivery.delivery_id not in kept:
                log.warning("attempt_overtaken", delivery_id=one.delivery.delivery_id)


def breaker_of(destination: Claimed) -> CircuitBreaker:
    return CircuitBreaker(destination.failures, destination.window, destination.probe_at)


def health_of(destination: Claimed, group: Sequence[CompletedAttempt]) -> DestinationHealth:
    """What the outcomes, in the order in which they came, make of a destination.

    What was sent to the URL that it had before says nothing of the one that it has now.
    """
    breaker, disabled = breaker_of(destination), None
    held_until = destination.held_until
    for one in group:
        if (one.delivery.destination_id, one.delivery.url) != (destination.id, destination.url):
            continue
        widest, now = destination.max_concurrency, destination.now
        breaker = breaker.told(one.verdict, widest=widest, now=now)
        held_until = max((at for at in (held_until, one.outcome.held_until) if at), default=None)
        if one.outcome.error is DeliveryError.GONE:
            disabled = DisabledReason.GONE
    is_held = held_until is not None and held_until > destination.now
    return DestinationHealth(destination.id, breaker, held_until if is_held else None, disabled)
