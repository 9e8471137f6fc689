"""Long work in short transactions: a statement that takes too long is cancelled, each time anew."""

from collections.abc import Awaitable, Callable

from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions

BATCH = 5_000
_MOST = 100  # the next sweep goes on


async def in_batches(sessions: Sessions, work: Callable[[AsyncSession], Awaitable[int]]) -> bool:
    """Repeats work that counts what it did, up to `BATCH` a time; whether nothing is left."""
    for _ in range(_MOST):
        async with sessions.begin() as session:
            if await work(session) < BATCH:
                return True
    return False
