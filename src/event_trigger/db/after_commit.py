"""Runs what may only happen once a transaction is committed, such as counting what it stored."""

from collections.abc import Callable

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, SessionTransaction

from event_trigger.db.plain_session import PlainSession, ReadSession

_PENDING = "after_commit"


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
