"""Sends what is due: claims with a lease, sends outside any transaction, records in batches."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby

import structlog

from event_trigger.db.engine import Sessions, is_outage
from event_trigger.deliveries.parcel import Parcel, pack, recorded
from event_trigger.deliveries.queue import Claimed, Granted, Health, Queue, Recorded, Waiting
from event_trigger.deliveries.sender import Answer, Sender
from event_trigger.destinations.pacing import Breaker, Bucket, room
from event_trigger.destinations.secrets import open_secrets
from event_trigger.models import DeliveryError, DisabledReason
from event_trigger.vault import SealBroken, Vault

log = structlog.get_logger()

MOST_IN_FLIGHT = 512
LONGEST_WAIT = 1.0  # seconds: polling alone is enough, notifications only make it quicker
HELD_WAIT = 0.02  # a destination in another replica's hands is looked at again soon
LEASE_MARGIN = timedelta(seconds=15)  # a slow record must not look like a crash
LARGEST_RECORD = 500
BEGUN_AT_ONCE = 8
RETRY_AFTER = 1.0


@dataclass(frozen=True, slots=True)
class Done:
    """An attempt that has ended, and how its destination stood when it began."""

    parcel: Parcel
    outcome: Recorded
    breaker_was_at_rest: bool

    @property
    def touches_breaker(self) -> bool:
        return self.outcome.error is not None or not self.breaker_was_at_rest


class Worker:
    """The sending of one process; any number of them share the queue."""

    def __init__(
        self,
        sessions: Sessions,
        sender: Sender,
        vault: Vault,
        schedule: Sequence[float],
        *,
        woken: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._sender = sender
        self._vault = vault
        self._schedule = schedule
        self._woken = woken
        self._sending: set[asyncio.Task[None]] = set()
        self._done: list[Done] = []
        self._recording: asyncio.Task[None] | None = None

    async def deliver_due(self) -> float:
        """Begins to send what is due and has room; gives the seconds to wait for more.

        It does not wait for any answer: when one has been recorded, `woken` is called.
        """
        free = MOST_IN_FLIGHT - len(self._sending)
        if free <= 0:
            return LONGEST_WAIT
        async with self._sessions() as session:
            waiting = await Queue(session).list_waiting()
        due = [one for one in waiting if one.seconds <= 0]
        waits = [one.seconds for one in waiting if one.seconds > 0]
        random.shuffle(due)  # when there is not room for all, nobody is always last
        share = max(1, free // max(1, len(due)))
        by_shard = sorted(due[:free], key=lambda one: one.shard)
        for shard, group in groupby(by_shard, key=lambda one: one.shard):
            waits += await self._claim(shard, list(group), share)
        return min([*waits, LONGEST_WAIT])

    async def _claim(self, shard: int, due: Sequence[Waiting], share: int) -> list[float]:
        """Claims for some destinations; gives for how long each is not worth looking at again."""
        ids = [one.destination_id for one in due]
        async with self._sessions.begin() as session:
            queue = Queue(session)
            locked = await queue.lock_destinations(shard, ids, wait=False)
            deleted = [one.id for one in locked if one.deleted_at is not None]
            if deleted:
                await queue.give_up_deleted(shard, deleted)
            open_ones = {one.id: one for one in locked if one.deleted_at is None}
            granted = [
                Granted(one.id, count, _lease_end(one))
                for one in open_ones.values()
                if (count := min(share, _room(one))) > 0
            ]
            rows = await queue.claim(shard, granted) if granted else []
            claimed = {one.destination_id: 0 for one in granted}
            for row in rows:
                claimed[row.destination_id] += 1
            buckets = {
                one.id: bucket.taken(claimed.get(one.id, 0))
                for one in open_ones.values()
                if (bucket := _bucket(one)) is not None
            }
            if buckets:
                await queue.save_buckets(shard, list(buckets.items()))
        for place, row in enumerate(rows, start=1):
            self._begin(shard, row, open_ones[row.destination_id])
            if place % BEGUN_AT_ONCE == 0:
                await asyncio.sleep(0)  # what is due to fire must not wait for all of them
        waits = [one.seconds_until_next for one in buckets.values() if one.tokens < 1]
        waits += [0.0 for one in granted if claimed[one.destination_id] == one.count == share]
        if len(locked) < len(ids):
            waits.append(HELD_WAIT)
        return waits

    def _begin(self, shard: int, row: Claimed, destination: Claimed) -> None:
        task = asyncio.create_task(self._send(shard, row, destination))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def _send(self, shard: int, row: Claimed, destination: Claimed) -> None:
        began, answer = time.perf_counter(), Answer()
        try:
            secrets = open_secrets(
                self._vault,
                owner_id=destination.owner_id,
                key_id=destination.key_id,
                sealed=destination.sealed,
            )
            parcel = pack(shard, row, destination, secrets)
            answer = await self._sender.post(
                parcel.url, parcel.headers, parcel.body, within=parcel.timeout
            )
        except SealBroken:
            log.error("secret_unreadable", destination_id=destination.id)
            parcel = _empty(shard, row, destination)
            answer.error = DeliveryError.SECRET_UNREADABLE
        except Exception:
            log.exception("attempt_failed", delivery_id=row.id)
            parcel = _empty(shard, row, destination)
            answer.error = DeliveryError.PROTOCOL_VIOLATED
        attempted_at: datetime = destination.now  # by the database's clock, as all else
        outcome = recorded(
            parcel,
            answer,
            attempted_at=attempted_at,
            ended_at=attempted_at + timedelta(seconds=time.perf_counter() - began),
            schedule=self._schedule,
            jitter=random.uniform(-1, 1),  # noqa: S311
        )
        self._done.append(Done(parcel, outcome, _breaker(destination).is_at_rest))
        if self._recording is None:
            self._recording = asyncio.create_task(self._record_all())

    async def _record_all(self) -> None:
        """Records what has ended, as much at a time as has come together meanwhile."""
        try:
            while self._done:
                batch, self._done = self._done[:LARGEST_RECORD], self._done[LARGEST_RECORD:]
                by_shard = sorted(batch, key=lambda one: one.parcel.shard)
                for shard, group in groupby(by_shard, key=lambda one: one.parcel.shard):
                    await self._record(shard, list(group))
                self._woken()
        finally:
            self._recording = None

    async def _record(self, shard: int, group: Sequence[Done]) -> None:
        """Keeps what could not be recorded for when the database is back."""
        try:
            await self._record_shard(shard, group)
        except Exception as error:
            if not is_outage(error):  # it would fail again: the leases end, and others try
                log.exception("record_failed", deliveries=[one.parcel.delivery_id for one in group])
                return
            log.warning("record_waits_for_database", error=type(error).__name__)
            self._done = [*group, *self._done]
            await asyncio.sleep(RETRY_AFTER)

    async def _record_shard(self, shard: int, group: Sequence[Done]) -> None:
        """Recording twice, after an answer that was lost, changes nothing: the lease is over."""
        async with self._sessions.begin() as session:
            queue = Queue(session)
            touched = {one.parcel.destination_id for one in group if one.touches_breaker}
            if touched:
                rows = await queue.lock_destinations(shard, sorted(touched), wait=True)
                health = [_health(row, group) for row in rows]
                await queue.save_breakers(shard, health)
            kept = await queue.record(shard, [one.outcome for one in group])
        for one in group:
            if one.parcel.delivery_id not in kept:
                log.warning("attempt_overtaken", delivery_id=one.parcel.delivery_id)

    async def drain(self, within: float) -> None:
        """Waits for what is under way; what does not end in time is taken over by others."""
        deadline = asyncio.get_running_loop().time() + within
        if self._sending:
            await asyncio.wait(self._sending, timeout=within)
        for task in self._sending:
            task.cancel()
        if self._recording is not None:
            left = max(0.5, deadline - asyncio.get_running_loop().time())
            await asyncio.wait({self._recording}, timeout=left)


def _lease_end(destination: Claimed) -> datetime:
    end: datetime = destination.now + timedelta(seconds=destination.timeout) + LEASE_MARGIN
    return end


def _room(destination: Claimed) -> int:
    return room(
        _breaker(destination),
        _bucket(destination),
        widest=destination.max_concurrency,
        in_flight=destination.in_flight,
        now=destination.now,
    )


def _breaker(destination: Claimed) -> Breaker:
    return Breaker(destination.failures, destination.window, destination.probe_at)


def _bucket(destination: Claimed) -> Bucket | None:
    if destination.rate_limit is None:
        return None
    bucket = Bucket(destination.rate_limit, destination.tokens, destination.tokens_at)
    return bucket.filled(now=destination.now)


def _health(destination: Claimed, group: Sequence[Done]) -> Health:
    """What the outcomes, in the order in which they came, make of a destination."""
    breaker, disabled = _breaker(destination), None
    for one in group:
        if one.parcel.destination_id != destination.id:
            continue
        if one.outcome.error is None:
            breaker = breaker.succeeded(widest=destination.max_concurrency)
        else:
            breaker = breaker.failed(now=destination.now)
        if one.outcome.error is DeliveryError.GONE:
            disabled = DisabledReason.GONE
    return Health(destination.id, breaker, disabled)


def _empty(shard: int, row: Claimed, destination: Claimed) -> Parcel:
    """Stands for what could not be sent."""
    return Parcel(
        shard, row.id, row.destination_id, row.lease, row.tries, destination.url, {}, b"", 0
    )
