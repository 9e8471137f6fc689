"""Gives the event loop back between the items of long work, so that firing has its turn."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

Item = TypeVar("Item")


async def taking_turns(items: Iterable[Item], *, at_once: int = 1) -> AsyncIterator[Item]:
    """Lets other tasks run after each `at_once` items."""
    for number, one in enumerate(items, 1):
        yield one
        if number % at_once == 0:
            await asyncio.sleep(0)
