"""Starts a rendering process, hands it batches of jobs, and ends it when it overruns."""

import asyncio
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from event_trigger.destinations.templates.jobs import NotRendered
from event_trigger.destinations.templates.wire import (
    Answer,
    Job,
    take_answers,
    write_job,
)

_CHILD = "event_trigger.destinations.templates.child"
START_SECONDS = 30.0  # a busy machine takes long to start an interpreter
ANSWER_SECONDS = 10.0  # of a job; it gets its share of the processor's time, at last
_READ_BYTES = 256 * 1024


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
