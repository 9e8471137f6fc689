"""Kills a program that fires, again and again, behind a network that loses what it sends."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from operator import le
from pathlib import Path

from tests.support.losing import ANSWER, HALF_THE_ANSWER, NEVER, REQUEST, LosingProxy
from tests.support.processes import ROOT
from tests.support.waiting import eventually

ORDERS = Path(__file__).with_name("orders.py")
KILLED = -9


@dataclass
class Killed:
    """How often it was killed, and what was lost."""

    kills: int
    losses: int


@dataclass(frozen=True)
class Orders:
    """The orders to fire, the file of those that are done, and how many are done between kills."""

    done: Path
    count: int
    most_between_kills: int

    def count_done(self) -> int:
        return len(self.done.read_text().splitlines()) if self.done.exists() else 0


async def fire_and_be_killed(
    proxy: LosingProxy, token: str, orders: Orders, dice: random.Random
) -> Killed:
    """Runs `orders.py` until all are done; kills it now and then, while some are not.

    A part of the requests, and of the answers, is lost on the way.
    """
    fates = [NEVER] * 7 + [REQUEST, ANSWER, HALF_THE_ANSWER]
    proxy.loses = lambda: dice.choice(fates)
    kills = 0
    while orders.count_done() < orders.count:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, ORDERS, proxy.url, token, orders.done, str(orders.count)),
            env={"PYTHONPATH": str(ROOT / "src")},
            stderr=subprocess.PIPE,
        )
        more = orders.count_done() + dice.randint(1, orders.most_between_kills)
        if more < orders.count:
            await eventually(_counting(orders), partial(le, more))
            await asyncio.sleep(dice.uniform(0, 0.05))
            process.kill()
            kills += 1
        _, said = await process.communicate()
        assert process.returncode in {0, KILLED}, said.decode()
    return Killed(kills, len(proxy.lost))


def _counting(orders: Orders) -> Callable[[], Awaitable[int]]:
    async def counted() -> int:
        return orders.count_done()

    return counted
