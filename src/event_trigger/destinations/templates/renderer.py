"""Renders jobs in two processes: one for deliveries, and one for what users ask and save."""

import asyncio
import sys
from collections.abc import Sequence

import structlog

from event_trigger.destinations.templates.jobs import (
    Accepted,
    CheckJob,
    CheckOutcome,
    NotRendered,
    Rendered,
    RenderJob,
    RenderOutcome,
    TemplateFailed,
)
from event_trigger.destinations.templates.process import RenderProcess
from event_trigger.destinations.templates.turns import Room, Turns, Waiting
from event_trigger.destinations.templates.wire import Answer, Job

log = structlog.get_logger()

LONGEST_WAIT = 10.0  # seconds
OVERRUN = TemplateFailed(
    "It takes too much time or memory. Use fewer rounds of loops, or shorter texts."
)


class Renderer:
    """Renders templates in processes of their own, which are started when they are first needed.

    Whatever users try out, a process is left for deliveries; and whatever a template costs, others
    have their turns. The event loop only hands on bytes.
    """

    def __init__(self) -> None:
        self._deliveries, self._questions = RenderLane(), RenderLane()

    async def render_all(
        self,
        jobs: Sequence[RenderJob],
        *,
        within: float = LONGEST_WAIT,
        most_bytes: int = sys.maxsize,
    ) -> Sequence[RenderOutcome]:
        """Renders deliveries, and returns the outcomes in their order.

        Those that had no turn `within` so many seconds are NotRendered, and so are all that come
        after bodies of `most_bytes`.
        """
        outcomes = await self._deliveries.answer(jobs, within=within, most_bytes=most_bytes)
        return [*map(_rendered, outcomes)]

    async def try_out(self, job: RenderJob, *, within: float = LONGEST_WAIT) -> RenderOutcome:
        """Renders a job that a user waits for."""
        [outcome] = await self._questions.answer([job], within=within)
        return _rendered(outcome)

    async def check(self, job: CheckJob, *, within: float = LONGEST_WAIT) -> CheckOutcome:
        """Checks the templates of a destination.

        Starts the process for deliveries if they are good, since the first one would wait for it.
        """
        [outcome] = await self._questions.answer([job], within=within)
        if isinstance(outcome, Accepted):
            self._deliveries.warm_up()
        return NotRendered() if isinstance(outcome, Rendered) else outcome

    async def aclose(self) -> None:
        """Ends the processes; jobs that still wait are NotRendered."""
        await self._deliveries.aclose()
        await self._questions.aclose()


def _rendered(outcome: Answer | NotRendered) -> RenderOutcome:
    return NotRendered() if isinstance(outcome, Accepted) else outcome


class RenderLane:
    """Answers jobs in one process, in turns."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._process: RenderProcess | None = None
        self._working: asyncio.Task[None] | None = None
        self._is_closed = False

    async def answer(
        self, jobs: Sequence[Job], *, within: float, most_bytes: int = sys.maxsize
    ) -> list[Answer | NotRendered]:
        """Returns the outcomes in the order of the jobs."""
        if not jobs:
            return []
        loop, room = asyncio.get_running_loop(), Room(most_bytes)
        waiting = [Waiting(job, loop.create_future(), room=room) for job in jobs]
        for one in waiting:
            self._turns.add(one)
        self._start_working()
        try:
            await asyncio.wait([one.outcome for one in waiting], timeout=within)
        finally:  # nobody waits for the rest any more
            for one in waiting:
                one.settle(NotRendered())
        return [one.outcome.result() for one in waiting]

    def warm_up(self) -> None:
        """Starts the process, if there is none, before anything waits for it."""
        if not self._is_closed and self._working is None and self._process is None:
            self._begin()

    async def aclose(self) -> None:
        self._is_closed = True
        if self._working is not None:
            self._working.cancel()
            await asyncio.gather(self._working, return_exceptions=True)
        self._give_up_all()
        if self._process is not None:
            await self._process.end()

    def _start_working(self) -> None:
        if not self._is_closed and self._working is None and self._turns:
            self._begin()

    def _begin(self) -> None:
        self._working = asyncio.create_task(self._work())
        self._working.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        self._working = None
        if task.cancelled():
            return
        if (failure := task.exception()) is not None:
            log.error("rendering_failed", exc_info=failure)
            self._give_up_all()
        self._start_working()

    async def _work(self) -> None:
        """Starts the process if need be, and renders batch after batch until nothing waits."""
        batch: Sequence[Waiting] = []
        try:
            await self._get_process()
            while batch := self._turns.take_batch():
                process = await self._get_process()
                answers = await process.answer([one.job for one in batch])
                self._settle(batch, answers, has_ended=not process.is_alive)
        except OSError as failure:
            log.error("rendering_not_started", error=type(failure).__name__)
            self._give_up_all()
        finally:
            for one in batch:
                one.settle(NotRendered())

    async def _get_process(self) -> RenderProcess:
        if self._process is None or not self._process.is_alive:
            self._process = await RenderProcess.start()
        return self._process

    def _settle(
        self,
        batch: Sequence[Waiting],
        answers: Sequence[Answer | NotRendered | None],
        *,
        has_ended: bool,
    ) -> None:
        """Gives outcomes to jobs, and other turns to those without an answer.

        A job that was alone when its process ended has failed, if a process had ended before with
        it in the batch. After the first one, another job or another cause may be to blame.
        """
        again = []
        for place, one in enumerate(batch):
            answer = answers[place] if place < len(answers) else None
            if answer is None and has_ended:
                answer = OVERRUN if one.is_suspect else None
                one.is_suspect = True
            if answer is None:
                again.append(one)
            else:
                one.settle(answer)
        self._turns.put_back(again, of=batch)

    def _give_up_all(self) -> None:
        for one in self._turns.take_all():
            one.settle(NotRendered())
