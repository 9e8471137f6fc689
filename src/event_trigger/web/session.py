"""One request, one transaction: committed before the first byte of the answer leaves."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncSession

from event_trigger.db.engine import Sessions
from event_trigger.db.replica.reads import Reads
from event_trigger.errors import Problem
from event_trigger.web.state import app_state


async def get_sessions(request: Request) -> Sessions:
    return app_state(request).sessions


async def open_session(
    sessions: Annotated[Sessions, Depends(get_sessions)],
) -> AsyncIterator[AsyncSession]:
    """Commits when the endpoint returns; rolls back when it raises, unless the problem
    `keeps_writes` (a stolen refresh token is refused *and* ends its family)."""
    async with sessions() as session:
        try:
            yield session
        except Problem as problem:
            if problem.keeps_writes:
                await session.commit()
            raise
        await session.commit()


# "function": the commit comes before the answer, so that a failing one is not answered with 200
SessionDep = Annotated[AsyncSession, Depends(open_session, scope="function")]
SessionsDep = Annotated[Sessions, Depends(get_sessions)]


async def get_reads(request: Request) -> Reads:
    return app_state(request).reads


ReadsDep = Annotated[Reads, Depends(get_reads)]
