"""Begins transactions straight on a connection, or in a session where a pooler is between."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from event_trigger.db.engine import Sessions, engine_of
from event_trigger.db.plain_session import PlainReads, Pooled, ReadSession

_Open = Callable[[], AbstractAsyncContextManager[ReadSession]]


class Transactions:
    """Transactions of statements in SQL, on the connections of the sessions' engine."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._plain = PlainReads(engine_of(sessions))

    def begin(self) -> AbstractAsyncContextManager[ReadSession]:
        """Commits at the end of the body. Limits of time need a session behind a pooler."""
        return _entered(self._plain.begin, self._sessions.begin)

    def read(self) -> AbstractAsyncContextManager[ReadSession]:
        """Does without BEGIN and COMMIT: each statement of the body is alone."""
        return _entered(self._plain.open, self._sessions)

    def alone(self) -> AbstractAsyncContextManager[ReadSession]:
        """Does without BEGIN and COMMIT for statements that each may be committed alone.

        Behind a pooler all are one transaction.
        """
        return _entered(self._plain.open, self._sessions.begin)


@asynccontextmanager
async def _entered(plain: _Open, otherwise: _Open) -> AsyncIterator[ReadSession]:
    async with AsyncExitStack() as stack:
        try:
            session = await stack.enter_async_context(plain())
        except Pooled:
            session = await stack.enter_async_context(otherwise())
        yield session
