"""Reads large bodies off the event loop, in a thread of their own that nothing else waits for."""

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from event_trigger.errors import Unavailable
from event_trigger.hooks.requests import HookRequest
from event_trigger.web.cpu_bound import yield_often

# bytes: the slowest smaller body takes a few milliseconds; multipart takes longest to take apart
LARGE_FROM, LARGE_MULTIPART_FROM = 16 * 1024, 4 * 1024
MOST_OF_A_PROJECT, MOST_IN_ALL = 50, 200  # that are read or wait for it, of at most 1 MiB each

T = TypeVar("T")

_THREAD = ThreadPoolExecutor(1, thread_name_prefix="large-bodies", initializer=yield_often)


class TooManyLargeBodies(Unavailable):
    default_detail = (
        "Too many large bodies are waiting to be read, and this one made no event. Send it again."
    )


def is_large(request: HookRequest) -> bool:
    """Tells whether reading the body of a call would hold the event loop for too long."""
    size = len(request.body)
    return size >= LARGE_FROM or (size >= LARGE_MULTIPART_FROM and _is_multipart(request))


def _is_multipart(request: HookRequest) -> bool:
    return any("multipart/" in one.lower() for one in request.all("content-type"))


class LargeBodies:
    """Reads the large bodies of one process one by one.

    Projects take turns, whatever their hooks, and one project alone cannot fill all places.
    """

    def __init__(self) -> None:
        self._waiting: Counter[int] = Counter()  # by the project's id
        self._turns: dict[int, asyncio.Lock] = {}

    @property
    def waiting(self) -> int:
        """How many bodies are being read, or wait for it."""
        return self._waiting.total()

    async def read(self, project_id: int, work: Callable[[], T]) -> T:
        """Runs `work` in the thread; raises TooManyLargeBodies if too much waits for it already."""
        if self._waiting[project_id] >= MOST_OF_A_PROJECT or self.waiting >= MOST_IN_ALL:
            raise TooManyLargeBodies
        self._waiting[project_id] += 1
        try:
            async with self._turns.setdefault(project_id, asyncio.Lock()):
                return await asyncio.get_running_loop().run_in_executor(_THREAD, work)
        finally:
            self._waiting[project_id] -= 1
            if not self._waiting[project_id]:
                del self._waiting[project_id], self._turns[project_id]
