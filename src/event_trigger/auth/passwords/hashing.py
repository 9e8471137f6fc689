"""Hashes passwords with argon2id off the event loop, and no faster for unknown accounts."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

from pwdlib import PasswordHash

from event_trigger.errors import Problem

AT_ONCE = max(1, (os.cpu_count() or 1) // 2)  # a hash takes 64 MiB and a core for 125 ms
MOST_WAITING = 200
_THREADS = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")

T = TypeVar("T")


class TooManySignIns(Problem):
    """Answers 429: what waits here now will take half a minute."""

    status, slug, title = 429, "too-many-logins", "Too many logins at once"
    default_detail = "Too many people are signing in right now. Try again in a moment."

    def __init__(self) -> None:
        super().__init__(headers={"Retry-After": "5"})


class PasswordHasher:
    """One process's hashing; `hasher` sets the cost."""

    def __init__(self, hasher: PasswordHash | None = None) -> None:
        self._hasher = hasher or PasswordHash.recommended()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._waiting = 0
        self._nobodys_hash = self._hasher.hash(os.urandom(16).hex())

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Waits for one's turn; raises Crowded where that would take too long."""
        if self._waiting >= MOST_WAITING:
            raise TooManySignIns
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()

    async def hash(self, password: str) -> str:
        async with self.place():
            return await _in_thread(partial(self._hasher.hash, password))

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Takes as long for an account that does not exist (`None`) as for a wrong password.

        To be called in one's `place`.
        """
        known = password_hash or self._nobodys_hash
        fits = await _in_thread(partial(self._hasher.verify, password, known))
        return fits and password_hash is not None


async def _in_thread(work: Callable[[], T]) -> T:
    """Has threads of its own: no other work keeps anybody from signing in."""
    return await asyncio.get_running_loop().run_in_executor(_THREADS, work)
