"""Looks rows up by key; lookups that arrive during a query share the next one.

Nothing is remembered: each row is read after it was asked for.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextvars import Context
from typing import Generic, NamedTuple, TypeVar

MOST_A_QUERY = 100  # keys

Key = TypeVar("Key")
Found = TypeVar("Found")


class _Pending(NamedTuple, Generic[Key, Found]):
    key: Key
    answer: asyncio.Future[Found | None]


class SharedLookup(Generic[Key, Found]):
    """Runs one query of this process at a time, by a function that reads several keys at once."""

    def __init__(self, read: Callable[[Collection[Key]], Awaitable[Mapping[Key, Found]]]) -> None:
        self._read = read
        self._waiting: deque[_Pending[Key, Found]] = deque()
        self._query_task: asyncio.Task[None] | None = None

    async def find(self, key: Key) -> Found | None:
        """Gets the row as it is now, or None; raises the errors of the query."""
        pending = _Pending[Key, Found](key, asyncio.get_running_loop().create_future())
        self._waiting.append(pending)
        if self._query_task is None:
            # in an empty context: it serves other requests too
            self._query_task = asyncio.create_task(self._query_waiting(), context=Context())
        return await pending.answer

    async def _query_waiting(self) -> None:
        try:
            while self._waiting:
                count = min(MOST_A_QUERY, len(self._waiting))
                await self._query([self._waiting.popleft() for _ in range(count)])
        finally:
            self._query_task = None

    async def _query(self, batch: list[_Pending[Key, Found]]) -> None:
        try:
            found = await self._read({one.key for one in batch})
        except Exception as error:
            for one in batch:
                if not one.answer.done():  # else the caller is gone
                    one.answer.set_exception(error)
            return
        for one in batch:
            if not one.answer.done():
                one.answer.set_result(found.get(one.key))
