"""Renders jobs in two processes: one for deliveries, and one for what users ask and save."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

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
from event_trigger.destinations.templates.turns import Room, Turns, Waiting
from event_trigger.destinations.templates.wire import (
    Answer,
    Job,
    take_answers,
    write_job,
)

log = structlog.get_logger()

_CHILD = "event_trigger.destinations.templates.child"
START_SECONDS = 30.0  # a busy machine takes long to start an interpreter
ANSWER_SECONDS = 10.0  # of a job; it gets its share of the processor's time, at last
_READ_BYTES = 256 * 1024
LONGEST_WAIT = 10.0  # seconds
OVERRUN = TemplateFailed(
    "It takes too much time or memory. Use fewer rounds of loops, or shorter texts."
)


class RenderProcess:
    """A process that renders; it is started without our environment and our files."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._stdin, self._stdout = process.stdin, process.stdout
        self._received = bytearray()
        self._is_new = True

    @classmethod
    async def start(cls) -> "RenderProcess":
        """Starts a process; raises OSError if the machine cannot."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            _CHILD,
            str(os.getpid()),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": os.pathsep.join(sys.path), "TZ": "UTC", "PYTHONUTF8": "1"},
            cwd="/",
        )
        return cls(process)

    @property
    def is_alive(self) -> bool:
        return self._process.returncode is None and not self._stdin.is_closing()

    async def answer(self, jobs: Sequence[Job]) -> list[Answer | NotRendered | None]:
        """Gives the answers to jobs in their order; None to those that had no turn.

        There are fewer answers than jobs if the process ends: the system kills it for what one of
        the others costs, or for another reason. If it does not answer in time, the machine is to
        blame: it is killed, and the next job is not rendered. Then `is_alive` is False.
        """
        answers: list[Answer | NotRendered | None] = []
        sending = asyncio.ensure_future(self._send(jobs))
        try:
            while len(answers) < len(jobs):
                seconds = START_SECONDS if self._is_new else ANSWER_SECONDS
                async with asyncio.timeout(seconds):
                    answers += await self._receive()
                self._is_new = False
        except (EOFError, ConnectionError, ValueError):
            await self.end()
        except TimeoutError:
            answers.append(NotRendered())
            await self.end()
        finally:
            sending.cancel()
            with suppress(asyncio.CancelledError, OSError):
                await sending
        return answers

    async def _send(self, jobs: Sequence[Job]) -> None:
        with suppress(ConnectionError):
            self._stdin.write(len(jobs).to_bytes(2) + b"".join(map(write_job, jobs)))
            await self._stdin.drain()

    async def _receive(self) -> list[Answer | None]:
        """Waits for more bytes, and reads the answers that are complete."""
        if not (received := await self._stdout.read(_READ_BYTES)):
            raise EOFError
        self._received += received
        return [*take_answers(self._received)]

    async def end(self) -> None:
        """Kills the process, and waits until it is gone."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._stdin.close()
        await self._process.wait()


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
