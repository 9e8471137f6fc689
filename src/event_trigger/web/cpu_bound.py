"""Answers expensive questions off the event loop, two at a time for a user."""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from event_trigger.errors import Problem
from event_trigger.web.state import app_state

AT_ONCE = 2
TURN_WITHIN = 1.0  # seconds
MOST_WAITING = 20  # of one user for a turn, and of all for the thread
_GIVES_WAY_AFTER = 0.001  # seconds

T = TypeVar("T")


class TooManyExpensiveCalls(Problem):
    status, slug, title = 429, "too-many-questions", "Too many expensive questions at once"
    default_detail = (
        f"You have {AT_ONCE} previews, explanations, accounts or exports running already. Wait for"
        " one of them to end."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def _give_way() -> None:
    """Makes threads that compute hand Python over to the event loop after 1 ms and not 5 ms."""
    sys.setswitchinterval(_GIVES_WAY_AFTER)


# one, since two would compute no more together, and take Python from the event loop twice as often
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="question", initializer=_give_way)


class CpuBound:
    """The questions that are being answered in one process, by user."""

    def __init__(self) -> None:
        self._turns: dict[int, asyncio.Semaphore] = {}
        self._asked: Counter[int] = Counter()
        self._computing = 0

    @asynccontextmanager
    async def turn(self, user_id: int) -> AsyncIterator[None]:
        """Waits a moment for one of the user's turns; raises TooManyQuestions if none is free."""
        if self._asked[user_id] >= AT_ONCE + MOST_WAITING:
            raise TooManyExpensiveCalls
        self._asked[user_id] += 1
        turns = self._turns.setdefault(user_id, asyncio.Semaphore(AT_ONCE))
        try:
            await _acquire(turns)
            try:
                yield
            finally:
                turns.release()
        finally:
            self._asked[user_id] -= 1
            if not self._asked[user_id]:
                del self._asked[user_id], self._turns[user_id]

    async def compute(self, work: Callable[[], T]) -> T:
        """Runs `work` in a thread; to be called in a turn, and while no connection is held."""
        if self._computing > MOST_WAITING:
            raise TooManyExpensiveCalls(
                "Too many people ask expensive questions right now. Try again."
            )
        self._computing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
        finally:
            self._computing -= 1


async def _acquire(turns: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(TURN_WITHIN):
            await turns.acquire()
    except TimeoutError:
        raise TooManyExpensiveCalls from None


async def get_cpu_bound(request: Request) -> CpuBound:
    return app_state(request).cpu_bound


CpuBoundDep = Annotated[CpuBound, Depends(get_cpu_bound)]
