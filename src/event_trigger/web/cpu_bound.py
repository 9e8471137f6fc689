"""Keeps long work from holding the event loop: gives turns, and computes in one thread.

Each user has a few slots for expensive requests.
"""

import asyncio
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Annotated, TypeVar

from fastapi import Depends, Request

from event_trigger.errors import Problem
from event_trigger.web.dependencies import app_state

_SWITCH_INTERVAL_SECONDS = 0.001

Item = TypeVar("Item")


async def taking_turns(items: Iterable[Item], *, at_once: int = 1) -> AsyncIterator[Item]:
    """Lets other tasks run after each `at_once` items."""
    for number, one in enumerate(items, 1):
        yield one
        if number % at_once == 0:
            await asyncio.sleep(0)


def yield_often() -> None:
    """Makes a computing thread give the GIL back to the event loop after 1 ms, not after 5 ms."""
    sys.setswitchinterval(_SWITCH_INTERVAL_SECONDS)


SLOTS_OF_A_USER = 2
SLOT_WAIT_SECONDS = 1.0
LONGEST_QUEUE = 20  # of one user's requests for a slot, and of all for the thread

T = TypeVar("T")


class TooManyExpensiveCalls(Problem):
    status, slug, title = 429, "too-many-questions", "Too many expensive requests at once"
    default_detail = (
        f"You already have {SLOTS_OF_A_USER} previews, explanations, accounts, counts, exports or"
        f" actions running, or {SLOTS_OF_A_USER} batches of calls. Wait until one of them ends."
    )

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


# one thread: two would compute no more, and would take the GIL from the event loop more often
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="cpu-bound", initializer=yield_often)


class CpuBound:
    """Limits the expensive requests of one process, for each user and in all."""

    def __init__(self) -> None:
        self._slots: dict[tuple[int, str], asyncio.Semaphore] = {}  # by user id and kind
        self._requests: Counter[tuple[int, str]] = Counter()  # running or waiting
        self._computing = 0

    @asynccontextmanager
    async def slot(self, user_id: int, kind: str = "questions") -> AsyncIterator[None]:
        """Takes one of the user's slots; raises TooManyExpensiveCalls if none is free in 1 s.

        Each kind of requests has slots of its own: a long export keeps no batch from firing.
        """
        whose = user_id, kind
        if self._requests[whose] >= SLOTS_OF_A_USER + LONGEST_QUEUE:
            raise TooManyExpensiveCalls
        self._requests[whose] += 1
        slots = self._slots.setdefault(whose, asyncio.Semaphore(SLOTS_OF_A_USER))
        try:
            await _acquire(slots)
            try:
                yield
            finally:
                slots.release()
        finally:
            self._requests[whose] -= 1
            if not self._requests[whose]:
                del self._requests[whose], self._slots[whose]

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
