"""Finds the hooks that are called: calls that come while a query is under way share the next one.

None is remembered, since a hook that was replaced must be dead at once, on every replica.
"""

import asyncio
from collections import deque
from contextvars import Context
from typing import NamedTuple

from event_trigger.db.engine import Sessions
from event_trigger.hooks.repository import Hooks
from event_trigger.models import Hook

MOST = 100  # that one query asks for


class _Asked(NamedTuple):
    token_hash: bytes
    answer: asyncio.Future[Hook | None]


class TokenLookup:
    """Asks for all hooks that are being called in this process with one connection."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._line: deque[_Asked] = deque()
        self._asking: asyncio.Task[None] | None = None

    async def find(self, token_hash: bytes) -> Hook | None:
        """The hook with this hash of its token, as it is now, or None."""
        asked = _Asked(token_hash, asyncio.get_running_loop().create_future())
        self._line.append(asked)
        if self._asking is None:
            # in no request's context: it is about others' calls as well
            self._asking = asyncio.create_task(self._ask(), context=Context())
        return await asked.answer

    async def _ask(self) -> None:
        try:
            while self._line:
                some = [self._line.popleft() for _ in range(min(MOST, len(self._line)))]
                await self._ask_for(some)
        finally:
            self._asking = None

    async def _ask_for(self, some: list[_Asked]) -> None:
        try:
            async with self._sessions() as session:
                hooks = await Hooks(session).list_by_hash({one.token_hash for one in some})
        except Exception as error:
            for one in some:
                if not one.answer.done():  # else the caller has gone
                    one.answer.set_exception(error)
            return
        found = {hook.token_hash: hook for hook in hooks}
        for one in some:
            if not one.answer.done():
                one.answer.set_result(found.get(one.token_hash))
