"""Opens one transaction a request, and commits it before the first byte of the response."""

from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.db.replica.reads import Reads
from event_trigger.errors import Problem
from event_trigger.web.state import app_state

_AFTER_COMMIT = "after_commit"  # in the session's `info`


async def get_sessions(request: Request) -> Sessions:
    return app_state(request).sessions


async def open_session(
    sessions: Annotated[Sessions, Depends(get_sessions)],
) -> AsyncIterator[AsyncSession]:
    """Commits when the endpoint returns, and rolls back when it raises.

    A problem that `keeps_writes` is committed too: a stolen refresh token is refused *and* ends
    its family.
    """
    async with sessions() as session:
        try:
            yield session
        except Problem as problem:
            if problem.keeps_writes:
                await session.commit()
            raise
        await session.commit()
        for action in session.info.pop(_AFTER_COMMIT, ()):
            action()


def after_commit(session: AsyncSession, action: Callable[[], None]) -> None:
    """Runs `action` when the request's transaction is committed, and before the response."""
    session.info.setdefault(_AFTER_COMMIT, []).append(action)


# "function" scope: the commit comes before the response, so a failed one never answers 200
SessionDep = Annotated[AsyncSession, Depends(open_session, scope="function")]
SessionsDep = Annotated[Sessions, Depends(get_sessions)]


async def get_reads(request: Request) -> Reads:
    return app_state(request).reads


ReadsDep = Annotated[Reads, Depends(get_reads)]
