"""Splits long work into short transactions, so that no statement runs into its timeout."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions

BATCH_ROWS = 5_000
_MAX_BATCHES = 100  # the next sweep does the rest


async def in_batches(sessions: Sessions, work: Callable[[AsyncSession], Awaitable[int]]) -> bool:
    """Repeats `work`, each time in a new transaction, until it handles less than `BATCH_ROWS` rows.

    `work` returns the number of rows it handled. Returns False if rows may be left over.
    """
    for _ in range(_MAX_BATCHES):
        async with sessions.begin() as session:
            if await work(session) < BATCH_ROWS:
                return True
    return False
