"""Sends what is due: claims with a lease, sends outside any transaction, has it recorded."""

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
from event_trigger.db.errors import described
from event_trigger.db.installation import read_installation
from event_trigger.deliveries.attempt import Leased, leased, pack, recorded
from event_trigger.deliveries.claims import Part, claim
from event_trigger.deliveries.completer import CompletedAttempt, Completer
from event_trigger.deliveries.fair_pool import FairPool
from event_trigger.deliveries.http.sender import AttemptResult, Sender
from event_trigger.deliveries.interruption import InterruptedAttempts
from event_trigger.deliveries.queue import Claimed
from event_trigger.deliveries.waiting import Waiting, WaitingList
from event_trigger.destinations.signing_secrets import Secrets, open_secrets
from event_trigger.models import DeliveryError
from event_trigger.vault import SealBroken, Vault

log = structlog.get_logger()

MOST_IN_FLIGHT = 512
MOST_BYTES_IN_FLIGHT = 32 * 1024 * 1024  # of payloads; each is in memory a few times over
LONGEST_WAIT = 1.0  # seconds: polling alone is enough, notifications only make it quicker
BEGUN_AT_ONCE = 8


class DeliveryWorker:
    """The sending of one process; any number of them share the queue."""

    def __init__(
        self,
        sessions: Sessions,
        sender: Sender,
        vault: Vault,
        schedule: Sequence[float],
        *,
        public_url: str | None,
        woken: Callable[[], None],
    ) -> None:
        self._sessions = sessions
        self._public_url = public_url
        self._installation = ""
        self._sender = sender
        self._vault = vault
        self._schedule = schedule
        self._woken = woken
        self._attempts = FairPool(MOST_IN_FLIGHT)
        self._bytes = FairPool(MOST_BYTES_IN_FLIGHT)
        self._sending: dict[asyncio.Future[AttemptResult], Leased] = {}
        self._recorder = Completer(sessions, settled=self._settle)

    async def deliver_due(self) -> float:
        """Begins to send what is due and has room; gives the seconds to wait for more.

        It does not wait for any answer: when one has been recorded, `woken` is called.
        """
        if self._attempts.free <= 0 or self._bytes.free <= 0:
            return LONGEST_WAIT
        waiting = await self._list_waiting()
        due = [one for one in waiting if one.seconds <= 0]
        waits = [one.seconds for one in waiting if one.seconds > 0]
        random.shuffle(due)  # when there is not room for all, nobody is always last
        parts = sorted(self._reserve(due), key=lambda one: one.destination.shard)
        try:
            return min([*waits, *await self._deliver(parts), LONGEST_WAIT])
        finally:
            for one in parts:
                self._hold(one.destination, -one.count, -one.size)

    async def _list_waiting(self) -> list[Waiting]:
        async with self._sessions() as session:
            self._installation = self._installation or await read_installation(session)
            waiting = WaitingList(session, in_cluster=await is_in_cluster(session))
            return await waiting.list_waiting()

    def _reserve(self, due: Sequence[Waiting]) -> list[Part]:
        """An even part for each, and no more than leaves room for those who come later."""
        parts = []
        even_count = self._attempts.free // max(1, len(due))
        even_size = self._bytes.free // max(1, len(due))
        for one in due:
            count = min(max(1, even_count), self._attempts.room(one.owner_id, one.destination_id))
            room = self._bytes.room(one.owner_id, one.destination_id)
            size = max(one.first_size, min(even_size, room))
            fits = size <= room or self._bytes.free == self._bytes.most
            if count > 0 and fits:
                self._hold(one, count, size)
                parts.append(Part(one, count, size))
        return parts

    def _hold(self, destination: Waiting | Leased, count: int, size: int) -> None:
        self._attempts.take(destination.owner_id, destination.destination_id, count)
        self._bytes.take(destination.owner_id, destination.destination_id, size)

    async def _deliver(self, parts: Sequence[Part]) -> list[float]:
        """Claims and begins; a shard that fails is said when the others have had their turn."""
        waits: list[float] = []
        failure = None
        for shard, group in groupby(parts, key=lambda one: one.destination.shard):
            try:
                claimed = await claim(
                    self._sessions, shard, list(group), installation=self._installation
                )
            except Exception as error:
                if is_outage(error) and not sqlstate(error):
                    raise  # no answer: the others would wait for theirs too
                failure = error
                continue
            waits += claimed.waits
            destinations = {one.id: one for _, one in claimed.taken}
            secrets = {key: self._secrets_of(one) for key, one in destinations.items()}
            for place, (row, destination) in enumerate(claimed.taken, start=1):
                self._begin(shard, row, destination, secrets[destination.id])
                if place % BEGUN_AT_ONCE == 0:
                    await asyncio.sleep(0)  # what is due to fire must not wait for all of them
        if failure is not None:
            raise failure
        return waits

    def _begin(
        self, shard: int, row: Claimed, destination: Claimed, secrets: Secrets | None
    ) -> None:
        delivery = leased(shard, row, destination)
        self._hold(delivery, 1, delivery.size)
        if secrets is None:
            self._conclude(
                delivery, AttemptResult(DeliveryError.SECRET_UNREADABLE), destination.now, 0.0
            )
            return
        parcel = pack(row, destination, secrets, public_url=self._public_url)
        began = time.perf_counter()
        answered = self._sender.post(
            delivery.url, parcel.headers, parcel.body, within=parcel.timeout
        )
        self._sending[answered] = delivery
        answered.add_done_callback(partial(self._answered, delivery, destination.now, began))

    def _secrets_of(self, destination: Claimed) -> Secrets | None:
        """None if they cannot be read: it is tried again, since somebody may set the key."""
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

    def _answered(
        self,
        delivery: Leased,
        claimed_at: datetime,
        began: float,
        answered: asyncio.Future[AttemptResult],
    ) -> None:
        del self._sending[answered]
        if answered.cancelled():
            self._hold(delivery, -1, -delivery.size)
            return
        answer = AttemptResult(DeliveryError.PROTOCOL_VIOLATED)
        if (failure := answered.exception()) is None:
            answer = answered.result()
        else:
            log.error("attempt_failed", delivery_id=delivery.delivery_id, exc_info=failure)
        self._conclude(delivery, answer, claimed_at, time.perf_counter() - began)

    def _conclude(
        self, delivery: Leased, answer: AttemptResult, claimed_at: datetime, took: float
    ) -> None:
        """Has it recorded, by the clock of the database, as all else; `took` is in seconds."""
        outcome = recorded(
            delivery,
            answer,
            attempted_at=claimed_at,
            ended_at=claimed_at + timedelta(seconds=took),
            schedule=self._schedule,
            jitter=random.uniform(-1, 1),  # noqa: S311
        )
        self._recorder.add(CompletedAttempt(delivery, outcome))

    def _settle(self, group: Sequence[CompletedAttempt]) -> None:
        for one in group:
            self._hold(one.delivery, -1, -one.delivery.size)
        self._woken()

    async def drain(self, within: float) -> None:
        """Waits for what is under way, and gives back to the others what does not end in time."""
        deadline = asyncio.get_running_loop().time() + within
        if self._sending:
            await asyncio.wait(self._sending, timeout=within)
        if unfinished := {one: its for one, its in self._sending.items() if one.cancel()}:
            await asyncio.wait(unfinished)
            await self._give_back(sorted(unfinished.values(), key=lambda one: one.shard))
        await self._recorder.drain(max(0.5, deadline - asyncio.get_running_loop().time()))

    async def _give_back(self, deliveries: Sequence[Leased]) -> None:
        """Without the database they are due again when their leases end."""
        try:
            for shard, group in groupby(deliveries, key=lambda one: one.shard):
                leases = [(one.delivery_id, one.lease) for one in group]
                async with self._sessions.begin() as session:
                    await InterruptedAttempts(session).give_back(shard, leases)
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("leases_not_given_back", **described(error))
