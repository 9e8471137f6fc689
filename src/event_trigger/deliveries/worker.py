"""Finds and claims due deliveries in one process; `attempt.py` lists all steps of an attempt."""

import random
from collections import deque
from collections.abc import Callable, Sequence

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.engine import Sessions, is_outage, sqlstate
from event_trigger.db.installation import read_installation
from event_trigger.db.shards import by_shard
from event_trigger.db.transactions import Transactions
from event_trigger.deliveries.attempts import AttemptParts, Attempts
from event_trigger.deliveries.capacity import Capacity
from event_trigger.deliveries.claims import LOCKED_RETRY_SECONDS, Reservation, claim_deliveries
from event_trigger.deliveries.queue.queued import QueuedDestination, QueuedDestinations

POLL_SECONDS = 1.0  # polling alone is enough, notifications only make it quicker


class DeliveryWorker:
    """Claims and sends deliveries in one process; any number of processes share the queue."""

    def __init__(
        self, sessions: Sessions, parts: AttemptParts, *, on_capacity: Callable[[], None]
    ) -> None:
        """`on_capacity` is called when attempts were recorded, so that more may be claimed."""
        self._sessions, self._transactions = sessions, Transactions(sessions)
        self._installation, self._in_cluster = "", False
        self._capacity = Capacity()
        self._mails = parts.mails
        self._attempts = Attempts(sessions, parts, self._capacity, on_capacity=on_capacity)

    @property
    def in_flight(self) -> int:
        return self._attempts.in_flight

    async def deliver_due(self) -> float:
        """Claims due deliveries and starts to send them; gives the seconds until the next call.

        It does not wait for responses.
        """
        if self._capacity.is_used_up:
            return POLL_SECONDS
        queued = await self._list_queued()
        locked = self._attempts.completer.locked_destinations  # our claims must not hold them, too
        due = [one for one in queued if one.due_in <= 0 and one.destination_id not in locked]
        waits = [one.due_in for one in queued if one.due_in > 0]
        waits += [LOCKED_RETRY_SECONDS] if locked else []
        random.shuffle(due)  # while capacity is short, no destination is always the last one
        reservations = self._capacity.reserve(due)
        try:
            return min([*waits, *await self._claim_and_send(reservations), POLL_SECONDS])
        finally:
            for one in reservations:
                self._capacity.release(one.destination, count=one.count, size=one.size)

    async def _list_queued(self) -> list[QueuedDestination]:
        if not self._installation:
            async with self._sessions() as session:
                self._in_cluster = await is_in_cluster(session)
                self._installation = await read_installation(session)
        if self._in_cluster:
            async with self._sessions() as session:
                return await QueuedDestinations(session, in_cluster=True).list_queued()
        async with self._transactions.read() as plain:
            return await QueuedDestinations(plain).list_queued()

    async def _claim_and_send(self, reservations: Sequence[Reservation]) -> list[float]:
        """Claims and starts the attempts; gives the seconds to wait for more.

        One server claims in all shards at once, and shard by shard if that fails, as a cluster
        does. Raises the last failing shard's error once all were tried; an outage at once.
        """
        waits: list[float] = []
        failure = None
        shard_by_shard = self._in_cluster or not reservations
        groups = deque(by_shard(reservations).values() if shard_by_shard else [reservations])
        while groups:
            group = groups.popleft()
            try:
                claims = await claim_deliveries(
                    self._transactions, group, installation=self._installation, mails=self._mails
                )
            except Exception as error:
                if is_outage(error) and not sqlstate(error):
                    raise  # the server is unreachable: the other shards would time out too
                several = by_shard(group)
                if len(several) > 1:
                    groups.extend(several.values())
                else:
                    failure = error
                continue
            waits += claims.waits
            await self._attempts.start(claims.deliveries)
        if failure is not None:
            raise failure
        return waits

    async def drain(self, within: float) -> None:
        """Waits up to `within` seconds for attempts in flight; releases the leases of the rest."""
        await self._attempts.drain(within)
