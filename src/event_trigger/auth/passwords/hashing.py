"""Hashes passwords with argon2id in threads; unknown accounts take as long as known ones."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import TypeVar

from pwdlib import PasswordHash

from event_trigger.errors import Problem

MAX_PARALLEL_HASHES = max(
    1, (os.cpu_count() or 1) // 2
)  # a hash takes 64 MiB and a core for 125 ms
MAX_WAITING_HASHES = 200
_THREADS = ThreadPoolExecutor(MAX_PARALLEL_HASHES, thread_name_prefix="password")

T = TypeVar("T")


class TooManySignIns(Problem):
    """Answers 429 when the waiting hashes would take about half a minute."""

    status, slug, title = 429, "too-many-logins", "Too many logins at once"
    default_detail = "Too many people are signing in right now. Try again in a moment."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class PasswordHasher:
    """Hashes and verifies in one process, a few at a time; `hasher` sets the cost."""

    def __init__(self, hasher: PasswordHash | None = None) -> None:
        self._hasher = hasher or PasswordHash.recommended()
        self._slots = asyncio.Semaphore(MAX_PARALLEL_HASHES)
        self._waiting = 0

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Waits for a free slot; raises TooManySignIns if too many callers wait already."""
        if self._waiting >= MAX_WAITING_HASHES:
            raise TooManySignIns
        self._waiting += 1
        try:
            await self._slots.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._slots.release()

    async def hash(self, password: str) -> str:
        async with self.slot():
            return await _in_thread(partial(self._hasher.hash, password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Verifies a password; for an unknown account (`None`) it verifies a dummy hash instead.

        Call it within `slot()`.
        """
        is_right = await _in_thread(partial(self._verify, password, password_hash))
        return is_right and password_hash is not None

    def _verify(self, password: str, password_hash: str | None) -> bool:
        """Makes the dummy hash also for a known account: the first sign-in must not tell."""
        dummy_hash = self._dummy_hash
        return self._hasher.verify(password, password_hash or dummy_hash)

    @cached_property
    def _dummy_hash(self) -> str:
        """Costs an eighth of a second, which a start does without."""
        return self._hasher.hash(os.urandom(16).hex())


async def _in_thread(work: Callable[[], T]) -> T:
    """Runs in a separate thread pool, so that other work never delays a sign-in."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
