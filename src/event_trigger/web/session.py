"""Opens one transaction a request, and commits it before the first byte of the response."""

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


async def open_session(request: Request) -> AsyncIterator[AsyncSession]:
    """Commits when the endpoint returns, and rolls back when it raises.

    A problem that `keeps_writes` is committed too: a stolen refresh token is refused *and* ends
    its family.
    """
    async with app_state(request).sessions() as session:
        try:
            yield session
        except Problem as problem:
            if problem.keeps_writes:
                await session.commit()
            raise
        await session.commit()


# "function" scope: the commit comes before the response, so a failed one never answers 200
SessionDep = Annotated[AsyncSession, Depends(open_session, scope="function")]
SessionsDep = Annotated[Sessions, Depends(get_sessions)]


async def get_reads(request: Request) -> Reads:
    return app_state(request).reads


ReadsDep = Annotated[Reads, Depends(get_reads)]
