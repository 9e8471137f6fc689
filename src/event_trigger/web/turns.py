"""Gives the event loop its turn while long work is done, on it or in a thread."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

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
