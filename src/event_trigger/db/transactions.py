"""Begins transactions straight on a connection, or in a session where a pooler is between."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from event_trigger.db.engine import Sessions, engine_of
from event_trigger.db.plain_session import PlainReads, Pooled, ReadSession


class Transactions:
    """Transactions of statements in SQL, on the connections of the sessions' engine."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._plain = PlainReads(engine_of(sessions))

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[ReadSession]:
        """Commits at the end of the body. Limits of time need a session behind a pooler."""
        async with AsyncExitStack() as stack:
            session: ReadSession
            try:
                session = await stack.enter_async_context(self._plain.begin())
            except Pooled:
                session = await stack.enter_async_context(self._sessions.begin())
            yield session
