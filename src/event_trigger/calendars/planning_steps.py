"""Computes plans in short steps, in a thread of its own, while the rows of triggers are locked.

PostgreSQL ends a session that is idle for 5 s within a transaction, and an instant that is locked
for longer counts as missed. So a statement follows each step, and all steps of a change are few.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Self, TypeVar

from event_trigger.errors import Invalid
from event_trigger.web.turns import yield_often

STEP_SECONDS = 0.1  # the changes of all connections together wait for less than the 5 s
MOST_SECONDS = 2.0  # of processor time
MOST_TRIGGERS = 2000  # of a calendar: writing them takes longer than planning them
_THREAD = ThreadPoolExecutor(1, thread_name_prefix="calendar-plans", initializer=yield_often)

T = TypeVar("T")
R = TypeVar("R")


class TooMuchToPlan(Invalid):
    def __init__(self) -> None:
        super().__init__(
            "The triggers that name the calendars take too long to plan by these dates, so nothing"
            " was changed. Let some of them name another calendar of the same dates, and change one"
            " calendar after the other."
        )

    @classmethod
    def example(cls) -> Self:
        return cls()


@dataclass(slots=True)
class PlanningSteps:
    """The steps of one transaction, and the processor time that they have taken."""

    spent: float = 0.0

    async def take(self, work: Callable[[T], R], items: Sequence[T]) -> list[R]:
        """Computes `work` of as many of the first items as a step has time for, at least of one.

        Raises TooMuchToPlan if all steps have taken more than MOST_SECONDS.
        """
        step = partial(_some, work, items)
        done, seconds = await asyncio.get_running_loop().run_in_executor(_THREAD, step)
        self.spent += seconds
        if self.spent > MOST_SECONDS:
            raise TooMuchToPlan
        return done


def _some(work: Callable[[T], R], items: Sequence[T]) -> tuple[list[R], float]:
    begun, end, done = time.thread_time(), time.monotonic() + STEP_SECONDS, list[R]()
    for one in items:
        done.append(work(one))
        if time.monotonic() > end:
            break
    return done, time.thread_time() - begun
