"""Looks up hooks by token; calls that arrive during a query share the next one.

No result is cached: a replaced hook must be dead at once, on every replica.
"""

import asyncio
from collections import deque
from contextvars import Context
from typing import NamedTuple

from event_trigger.db.engine import Sessions
from event_trigger.hooks.repository import Hooks
from event_trigger.models import Hook

MAX_TOKENS_A_QUERY = 100


class _PendingLookup(NamedTuple):
    token_hash: bytes
    answer: asyncio.Future[Hook | None]


class TokenLookup:
    """Looks up all hooks that are called in this process over one connection."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._waiting: deque[_PendingLookup] = deque()
        self._query_task: asyncio.Task[None] | None = None

    async def find(self, token_hash: bytes) -> Hook | None:
        """Gets the hook whose token has this hash, as it is now, or None."""
        lookup = _PendingLookup(token_hash, asyncio.get_running_loop().create_future())
        self._waiting.append(lookup)
        if self._query_task is None:
            # in an empty context: it serves other requests too
            self._query_task = asyncio.create_task(self._query_waiting(), context=Context())
        return await lookup.answer

    async def _query_waiting(self) -> None:
        try:
            while self._waiting:
                batch = [
                    self._waiting.popleft()
                    for _ in range(min(MAX_TOKENS_A_QUERY, len(self._waiting)))
                ]
                await self._query(batch)
        finally:
            self._query_task = None

    async def _query(self, batch: list[_PendingLookup]) -> None:
        try:
            async with self._sessions() as session:
                hooks = await Hooks(session).list_by_hash({one.token_hash for one in batch})
        except Exception as error:
            for one in batch:
                if not one.answer.done():  # else the caller is gone
                    one.answer.set_exception(error)
            return
        found = {hook.token_hash: hook for hook in hooks}
        for one in batch:
            if not one.answer.done():
                one.answer.set_result(found.get(one.token_hash))
