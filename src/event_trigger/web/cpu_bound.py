"""Runs expensive computations in one thread, off the event loop; limits requests per user."""

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

SLOTS_OF_A_USER = 2
SLOT_WAIT_SECONDS = 1.0
LONGEST_QUEUE = 20  # of one user's requests for a slot, and of all for the thread
_SWITCH_INTERVAL_SECONDS = 0.001

T = TypeVar("T")


class TooManyExpensiveCalls(Problem):
    status, slug, title = 429, "too-many-questions", "Too many expensive requests at once"
    default_detail = (
        f"You already have {SLOTS_OF_A_USER} previews, explanations, accounts, counts, exports or"
        " actions running. Wait until one of them ends."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


def _yield_often() -> None:
    """Makes a computing thread give the GIL back to the event loop after 1 ms, not after 5 ms."""
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)


# one thread: two would compute no more, and would take the GIL from the event loop more often
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="cpu-bound", initializer=_yield_often)


class CpuBound:
    """Limits the expensive requests of one process, for each user and in all."""

    def __init__(self) -> None:
        self._slots: dict[int, asyncio.Semaphore] = {}  # by user id
        self._requests: Counter[int] = Counter()  # running or waiting, by user id
        self._computing = 0

    @asynccontextmanager
    async def slot(self, user_id: int) -> AsyncIterator[None]:
        """Takes one of the user's slots; raises TooManyExpensiveCalls if none is free in 1 s."""
        if self._requests[user_id] >= SLOTS_OF_A_USER + LONGEST_QUEUE:
            raise TooManyExpensiveCalls
        self._requests[user_id] += 1
        slots = self._slots.setdefault(user_id, asyncio.Semaphore(SLOTS_OF_A_USER))
        try:
            await _acquire(slots)
            try:
                yield
            finally:
                slots.release()
        finally:
            self._requests[user_id] -= 1
            if not self._requests[user_id]:
                del self._requests[user_id], self._slots[user_id]

    async def compute(self, work: Callable[[], T]) -> T:
        """Runs `work` in the thread; raises TooManyExpensiveCalls if 20 others wait.

        Call it in a slot, and hold no database connection.
        """
        if self._computing > LONGEST_QUEUE:
            raise TooManyExpensiveCalls("Too many expensive requests are waiting. Try again.")
        self._computing += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
        finally:
            self._computing -= 1


async def _acquire(slots: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(SLOT_WAIT_SECONDS):
            await slots.acquire()
    except TimeoutError:
        raise TooManyExpensiveCalls from None


async def get_cpu_bound(request: Request) -> CpuBound:
    return app_state(request).cpu_bound


CpuBoundDep = Annotated[CpuBound, Depends(get_cpu_bound)]
