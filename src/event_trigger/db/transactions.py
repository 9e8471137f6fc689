"""Begins transactions straight on a connection, splits long work into short ones, and plans in one.

Behind a pooler they begin in a session. Work may wait for the commit, such as counting what it
stored.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from event_trigger.db.citus.detect import is_in_cluster
from event_trigger.db.engine import Sessions, engine_of
from event_trigger.db.plain_session import PlainReads, PlainSession, Planning, Pooled, ReadSession

_Open = Callable[[], AbstractAsyncContextManager[ReadSession]]
BATCH_ROWS = 5_000
_MAX_BATCHES = 100  # the next sweep does the rest
_PENDING = "after_commit"
_PLAN = text("""
    SELECT set_config(name, setting, true)
    FROM unnest(CAST(:names AS text[]), CAST(:settings AS text[])) AS chosen (name, setting)
""")


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


async def in_batches(sessions: Sessions, work: Callable[[AsyncSession], Awaitable[int]]) -> bool:
    """Repeats `work`, each time in a new transaction, until it handles less than `BATCH_ROWS` rows.

    `work` returns the number of rows it handled. Returns False if rows may be left over.
    """
    for _ in range(_MAX_BATCHES):
        async with sessions.begin() as session:
            if await work(session) < BATCH_ROWS:
                return True
    return False


def after_commit(session: ReadSession, work: Callable[[], None]) -> None:
    """Calls `work` after the session's next commit, unless something is rolled back before."""
    if isinstance(session, PlainSession):
        session.after_commit.append(work)
        return
    assert isinstance(session, AsyncSession)
    sync = session.sync_session
    if _PENDING not in sync.info:
        sync.info[_PENDING] = []
        event.listen(sync, "after_commit", _run)
        event.listen(sync, "after_soft_rollback", _forget)
    sync.info[_PENDING].append(work)


def _run(session: Session) -> None:
    if session.in_nested_transaction():
        return  # a savepoint was released
    pending, session.info[_PENDING] = session.info[_PENDING], []
    for work in pending:
        work()


def _forget(session: Session, _: SessionTransaction) -> None:
    session.info[_PENDING] = []


async def use_generic_plan(session: ReadSession) -> None:
    """Makes PostgreSQL reuse one plan per statement for the rest of the transaction.

    Planning many ranges or partitions takes up to ten times as long as reading them, and the plan
    is the same for all values. A cluster plans each statement by its values, which name the node.
    """
    if not await is_in_cluster(session):
        await _plan(session, Planning.GENERIC)


async def use_plans_along_indexes(session: ReadSession) -> None:
    """Makes PostgreSQL plan each statement for its values, and read along an index of the order.

    A generic plan guesses the number of an owner's rows, and so may read all of them for each row
    of a page, and sort them. Parallel workers would read far beyond a page before it is full.
    """
    await _plan(session, Planning.ALONG_INDEXES)


async def _plan(session: ReadSession, planning: Planning) -> None:
    if isinstance(session, PlainSession):
        await session.plan(planning)
    else:
        settings = planning.value
        await session.execute(_PLAN, {"names": [*settings], "settings": [*settings.values()]})
