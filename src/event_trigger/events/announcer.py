"""Announces new events and their deliveries to every replica after the commits, once for many."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from contextvars import Context

from event_trigger.db.engine import DATABASE_ERRORS
from event_trigger.db.notify import DELIVERIES_CHANGED, EVENTS_STORED, notify
from event_trigger.db.transactions import Transactions

ANNOUNCE_EVERY_SECONDS = 0.02  # a stream that has news looks no more often


class Announcer:
    """Announces the owners of events that were stored without it, and that there are deliveries.

    NOTIFY in the transaction of the events would take a lock of the whole server from before its
    commit until after it, so that commits of several processes would wait for one another. A
    transaction that only announces writes nothing, and has the lock for microseconds. If the
    process dies before it, streams and workers find the events and their deliveries within a
    second: they also look by themselves.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._waiting = set[int]()
        self._has_deliveries = False
        self._task: asyncio.Task[None] | None = None

    def announce(self, owner_ids: Iterable[int], *, has_deliveries: bool) -> None:
        """Announces events at once, or together with others within 20 ms."""
        self._waiting.update(owner_ids)
        self._has_deliveries |= has_deliveries
        if self._waiting and self._task is None:
            # with an empty context: the task serves calls of other requests as well
            self._task = asyncio.create_task(self._announce_waiting(), context=Context())

    async def end(self) -> None:
        """Waits until all is announced."""
        if self._task is not None:
            await asyncio.wait((self._task,))

    async def _announce_waiting(self) -> None:
        try:
            while self._waiting:
                owners, self._waiting = sorted(self._waiting), set()
                has_deliveries, self._has_deliveries = self._has_deliveries, False
                with suppress(*DATABASE_ERRORS):
                    async with self._transactions.begin() as session:
                        await notify(session, EVENTS_STORED, *map(str, owners))
                        if has_deliveries:
                            await notify(session, DELIVERIES_CHANGED)
                await asyncio.sleep(ANNOUNCE_EVERY_SECONDS)
        finally:
            self._task = None
