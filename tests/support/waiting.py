"""Waits for what must come, and gives up loudly when it does not; never asserts how long it took."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


async def eventually(
    look: Callable[[], Awaitable[T]], satisfied: Callable[[T], bool], *, within: float = 20.0
) -> T:
    """Looks every 20 ms until what is seen satisfies; fails with the last sight."""

    async def until_satisfied() -> T:
        nonlocal seen
        while not satisfied(seen):
            await asyncio.sleep(0.02)
            seen = await look()
        return seen

    seen = await look()
    try:
        return await asyncio.wait_for(until_satisfied(), within)
    except TimeoutError:
        raise AssertionError(f"not within {within} s; last seen: {seen!r}") from None
