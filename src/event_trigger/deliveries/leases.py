"""Ends the leases of attempts before they expire."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog

from event_trigger.db.engine import Sessions, is_outage
from event_trigger.db.errors import log_fields
from event_trigger.db.shards import by_shard
from event_trigger.deliveries.attempt import Attempt
from event_trigger.deliveries.queue.cleanup import QueueCleanup
from event_trigger.deliveries.queue.deliveries import DeliveryQueue
from event_trigger.deliveries.queue.destinations import QueueDestinations

log = structlog.get_logger()

_Leases = Sequence[tuple[int, int]]  # delivery id and number


@dataclass(frozen=True, slots=True)
class Leases:
    """The leases of this process; without the database, they end by themselves."""

    sessions: Sessions

    async def release(self, attempts: Sequence[Attempt]) -> None:
        """Records attempts as interrupted: their requests may have arrived."""
        await self._end(attempts, self._release)

    async def put_back(self, attempts: Sequence[Attempt], *, after: timedelta | None) -> None:
        """Makes deliveries due again of which nothing was sent; none whose lease is over.

        Without `after` they are due at once. With it, those that never had an attempt and have
        waited for a week are given up. The others cost nothing, also no token of their
        destination's rate limit.
        """
        await self._end(attempts, partial(self._put_back, after=after))

    async def _end(
        self,
        attempts: Sequence[Attempt],
        end: Callable[[int, _Leases], Awaitable[None]],
    ) -> None:
        try:
            for shard, group in by_shard(attempts).items():
                await end(shard, [(one.delivery_id, one.lease) for one in group])
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("leases_not_released", **log_fields(error))

    async def _release(self, shard: int, leases: _Leases) -> None:
        async with self.sessions.begin() as session:
            await DeliveryQueue(session).release_leases(shard, leases)

    async def _put_back(self, shard: int, leases: _Leases, *, after: timedelta | None) -> None:
        """Returns the tokens later: a claim locks destinations before deliveries."""
        async with self.sessions.begin() as session:
            queue = DeliveryQueue(session)
            done = await queue.put_back(shard, leases, after=after or timedelta(0))
            if after is not None:
                await QueueCleanup(session).give_up_unsent(shard, sorted(one.id for one in done))
        tokens = Counter(one.destination_id for one in done)
        if not tokens:
            return
        try:
            async with self.sessions.begin() as session:
                await QueueDestinations(session).return_tokens(shard, tokens)
        except Exception as error:  # they come back with time
            log.warning("tokens_not_returned", **log_fields(error))


class LateLeases:
    """Puts back the leases of requests that come too late to be sent, all at once."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._late: list[Attempt] = []
        self._task: asyncio.Task[None] | None = None

    def add(self, attempt: Attempt) -> None:
        self._late.append(attempt)
        if self._task is None:
            self._task = asyncio.create_task(self._put_back())

    async def _put_back(self) -> None:
        try:
            while self._late:
                some, self._late = self._late, []
                await self._leases.put_back(some, after=None)
        except Exception as error:  # they expire
            log.warning("leases_not_released", **log_fields(error))
        finally:
            self._task = None
