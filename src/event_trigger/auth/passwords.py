"""Hashes passwords with argon2id off the event loop, and no faster for unknown accounts."""

import asyncio
import os

from pwdlib import PasswordHash

AT_ONCE = max(1, (os.cpu_count() or 1) // 2)  # a hash takes 64 MiB and a core for 125 ms


class Passwords:
    """One process's hashing; `hasher` sets the cost."""

    def __init__(self, hasher: PasswordHash | None = None) -> None:
        self._hasher = hasher or PasswordHash.recommended()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._nobodys_hash = self._hasher.hash(os.urandom(16).hex())

    async def hash(self, password: str) -> str:
        async with self._places:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, password: str, password_hash: str | None) -> bool:
        """Takes as long for an account that does not exist (`None`) as for a wrong password."""
        async with self._places:
            fits = await asyncio.to_thread(
                self._hasher.verify, password, password_hash or self._nobodys_hash
            )
        return fits and password_hash is not None
