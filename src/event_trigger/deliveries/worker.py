"""Runs delivery attempts in one process; `attempt.py` lists their steps."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby

import structlog

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.engine import Sessions, is_outage, sqlstate
from event_trigger.db.errors import log_fields
from event_trigger.db.installation import read_installation
from event_trigger.deliveries.attempt import Attempt, build_request, decide_outcome, new_attempt
from event_trigger.deliveries.claims import Claims, Reservation, claim_deliveries
from event_trigger.deliveries.completed import CompletedAttempt
from event_trigger.deliveries.completer import Completer
from event_trigger.deliveries.fair_pool import FairPool
from event_trigger.deliveries.http.sender import AttemptResult, Sender
from event_trigger.deliveries.queue.deliveries import ClaimedDelivery, DeliveryQueue
from event_trigger.deliveries.queue.destinations import (
    LockedDestination,
    QueuedDestination,
    QueueDestinations,
)
from event_trigger.destinations.signing_secrets import Secrets, open_secrets
from event_trigger.models import DeliveryError
from event_trigger.vault import SealBroken, Vault

log = structlog.get_logger()

MOST_IN_FLIGHT = 512  # attempts
MOST_BYTES_IN_FLIGHT = 32 * 1024 * 1024  # of payloads; each is in memory a few times over
POLL_SECONDS = 1.0  # polling alone is enough, notifications only make it quicker
_ATTEMPTS_PER_YIELD = 8


class DeliveryWorker:
    """Claims and sends deliveries in one process; any number of processes share the queue."""

    def __init__(
        self,
        sessions: Sessions,
        sender: Sender,
        vault: Vault,
        schedule: Sequence[float],
        *,
        public_url: str | None,
        on_capacity: Callable[[], None],
    ) -> None:
        """`schedule` holds the seconds before each retry.

        `on_capacity` is called when attempts were recorded, so that more may be claimed.
        """
        self._sessions = sessions
        self._public_url = public_url
        self._installation = ""
        self._sender = sender
        self._vault = vault
        self._schedule = schedule
        self._on_capacity = on_capacity
        self._attempts = FairPool(MOST_IN_FLIGHT)
        self._bytes = FairPool(MOST_BYTES_IN_FLIGHT)
        self._in_flight: dict[asyncio.Future[AttemptResult], Attempt] = {}
        self._completer = Completer(sessions, on_recorded=self._free_capacity)

    async def deliver_due(self) -> float:
        """Claims due deliveries and starts to send them; gives the seconds until the next call.

        It does not wait for responses.
        """
        if self._attempts.free <= 0 or self._bytes.free <= 0:
            return POLL_SECONDS
        queued = await self._list_queued()
        due = [one for one in queued if one.due_in <= 0]
        waits = [one.due_in for one in queued if one.due_in > 0]
        random.shuffle(due)  # while capacity is short, no destination is always the last one
        reservations = sorted(self._reserve(due), key=lambda one: one.destination.shard)
        try:
            return min([*waits, *await self._claim_and_send(reservations), POLL_SECONDS])
        finally:
            for one in reservations:
                self._release(one.destination, count=one.count, size=one.size)

    async def _list_queued(self) -> list[QueuedDestination]:
        async with self._sessions() as session:
            self._installation = self._installation or await read_installation(session)
            destinations = QueueDestinations(session, in_cluster=await is_in_cluster(session))
            return await destinations.list_queued()

    def _reserve(self, due: Sequence[QueuedDestination]) -> list[Reservation]:
        """Reserves an even share for each due destination, within its fair part of the pools.

        A payload larger than that part is reserved only when no other payload is in memory.
        """
        reservations = []
        even_count = self._attempts.free // max(1, len(due))
        even_size = self._bytes.free // max(1, len(due))
        for one in due:
            holder = {"owner_id": one.owner_id, "destination_id": one.destination_id}
            count = min(max(1, even_count), self._attempts.available(**holder))
            fair_size = self._bytes.available(**holder)
            size = max(one.first_size, min(even_size, fair_size))
            fits = size <= fair_size or self._bytes.free == self._bytes.capacity
            if count > 0 and fits:
                self._acquire(one, count=count, size=size)
                reservations.append(Reservation(one, count, size))
        return reservations

    def _acquire(self, holder: QueuedDestination | Attempt, *, count: int, size: int) -> None:
        owner_id, destination_id = holder.owner_id, holder.destination_id
        self._attempts.acquire(count, owner_id=owner_id, destination_id=destination_id)
        self._bytes.acquire(size, owner_id=owner_id, destination_id=destination_id)

    def _release(self, holder: QueuedDestination | Attempt, *, count: int, size: int) -> None:
        owner_id, destination_id = holder.owner_id, holder.destination_id
        self._attempts.release(count, owner_id=owner_id, destination_id=destination_id)
        self._bytes.release(size, owner_id=owner_id, destination_id=destination_id)

    async def _claim_and_send(self, reservations: Sequence[Reservation]) -> list[float]:
        """Claims shard by shard and starts the attempts; gives the seconds to wait for more.

        Raises the last failing shard's error once all shards were tried; an outage at once.
        """
        waits: list[float] = []
        failure = None
        for shard, group in groupby(reservations, key=lambda one: one.destination.shard):
            try:
                claims = await claim_deliveries(
                    self._sessions, shard, list(group), installation=self._installation
                )
            except Exception as error:
                if is_outage(error) and not sqlstate(error):
                    raise  # the server is unreachable: the other shards would time out too
                failure = error
                continue
            waits += claims.waits
            await self._start_all(shard, claims)
        if failure is not None:
            raise failure
        return waits

    async def _start_all(self, shard: int, claims: Claims) -> None:
        destinations = {one.id: one for _, one in claims.deliveries}
        secrets = {key: self._open_secrets(one) for key, one in destinations.items()}
        for place, (delivery, destination) in enumerate(claims.deliveries, start=1):
            self._start(shard, delivery, destination, secrets[destination.id])
            if place % _ATTEMPTS_PER_YIELD == 0:
                await asyncio.sleep(0)  # due triggers must not wait for all of these

    def _open_secrets(self, destination: LockedDestination) -> Secrets | None:
        """Returns None if the secrets cannot be read.

        The attempt is retried, since the operator may set the key again.
        """
        try:
            return open_secrets(
                self._vault,
                owner_id=destination.owner_id,
                key_id=destination.key_id,
                sealed=destination.sealed,
            )
        except SealBroken:
            log.error("secret_unreadable", destination_id=destination.id)
            return None

    def _start(
        self,
        shard: int,
        delivery: ClaimedDelivery,
        destination: LockedDestination,
        secrets: Secrets | None,
    ) -> None:
        attempt, attempted_at = new_attempt(shard, delivery, destination), destination.now
        self._acquire(attempt, count=1, size=attempt.size)
        if secrets is None:
            result = AttemptResult(DeliveryError.SECRET_UNREADABLE)
            self._complete(attempt, result, attempted_at, 0.0)
            return
        request = build_request(delivery, destination, secrets, public_url=self._public_url)
        began = time.perf_counter()
        response = self._sender.post(
            attempt.url, request.headers, request.body, within=request.timeout
        )
        self._in_flight[response] = attempt
        response.add_done_callback(partial(self._responded, attempt, attempted_at, began))

    def _responded(
        self,
        attempt: Attempt,
        attempted_at: datetime,
        began: float,
        response: asyncio.Future[AttemptResult],
    ) -> None:
        del self._in_flight[response]
        if response.cancelled():
            self._release(attempt, count=1, size=attempt.size)
            return
        result = AttemptResult(DeliveryError.PROTOCOL_VIOLATED)
        if (failure := response.exception()) is None:
            result = response.result()
        else:
            log.error("attempt_failed", delivery_id=attempt.delivery_id, exc_info=failure)
        self._complete(attempt, result, attempted_at, time.perf_counter() - began)

    def _complete(
        self, attempt: Attempt, result: AttemptResult, attempted_at: datetime, seconds: float
    ) -> None:
        """Decides the outcome and hands it to the completer; all instants are the database's."""
        outcome = decide_outcome(
            attempt,
            result,
            attempted_at=attempted_at,
            ended_at=attempted_at + timedelta(seconds=seconds),
            schedule=self._schedule,
            jitter=random.uniform(-1, 1),  # noqa: S311
        )
        self._completer.add(CompletedAttempt(attempt, outcome))

    def _free_capacity(self, group: Sequence[CompletedAttempt]) -> None:
        for one in group:
            self._release(one.attempt, count=1, size=one.attempt.size)
        self._on_capacity()

    async def drain(self, within: float) -> None:
        """Waits up to `within` seconds for attempts in flight; releases the leases of the rest."""
        deadline = asyncio.get_running_loop().time() + within
        if self._in_flight:
            await asyncio.wait(self._in_flight, timeout=within)
        unfinished = {
            response: one for response, one in self._in_flight.items() if response.cancel()
        }
        if unfinished:
            await asyncio.wait(unfinished)
            await self._release_leases(sorted(unfinished.values(), key=lambda one: one.shard))
        await self._completer.drain(max(0.5, deadline - asyncio.get_running_loop().time()))

    async def _release_leases(self, attempts: Sequence[Attempt]) -> None:
        """Makes deliveries due again at once; without the database, when their leases expire."""
        try:
            for shard, group in groupby(attempts, key=lambda one: one.shard):
                leases = [(one.delivery_id, one.lease) for one in group]
                async with self._sessions.begin() as session:
                    await DeliveryQueue(session).release_leases(shard, leases)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("leases_not_released", **log_fields(error))
