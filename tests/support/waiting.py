"""Waits for a condition, and fails when it never comes; no test asserts elapsed seconds."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

REVOKED_WITHIN = 1.0  # seconds, as the contract says


async def eventually(
    look: Callable[[], Awaitable[T]], satisfied: Callable[[T], bool], *, within: float = 120.0
) -> T:
    """Looks again and again until the result satisfies, and gives it; fails with the last result.

    The first look comes after 20 ms, the later ones up to 100 ms apart: a look costs more CPU time
    than the change for which it waits. `within` seconds only bound a hang.
    """
    seen = await look()

    pause = 0.02
    try:
        async with asyncio.timeout(within):
            while not satisfied(seen):
                await asyncio.sleep(pause)
                pause = min(1.5 * pause, 0.1)
                seen = await look()
    except TimeoutError:
        raise AssertionError(f"not within {within} s; last seen: {seen!r}") from None
    return seen
