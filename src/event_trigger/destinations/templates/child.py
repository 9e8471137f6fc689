"""Runs as a process that renders: it has little memory and time, no secrets, and opens no files.

It reads jobs from its standard input, and answers each on its standard output.
"""

import ctypes
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import BinaryIO

from event_trigger.destinations.templates.filters import load_zones
from event_trigger.destinations.templates.jobs import CheckJob, TemplateFailed
from event_trigger.destinations.templates.rendering import render
from event_trigger.destinations.templates.samples import check
from event_trigger.destinations.templates.wire import (
    JOB_HEADER,
    Answer,
    Job,
    length_of,
    read_job,
    write_answer,
)

MOST_MEMORY = 160 * 1024 * 1024  # bytes, beyond those that an idle process has
JOB_SECONDS = 0.3  # of the processor's time
KILL_AFTER_SECONDS = 2  # of the processor's time; the system counts whole seconds
TURN_SECONDS = 0.05  # after it, the other jobs of a batch wait for another turn
TURN_BYTES = 2 * 1024 * 1024  # of answers, which the service has to hold; after them, too
NICENESS = 5
_OPEN_FILES = 3  # the standard ones; neither files nor sockets are opened besides
_REPEAT_SECONDS = 0.1
_FLUSH_SECONDS = 0.005
_PR_SET_PDEATHSIG = 1
TOO_SLOW = TemplateFailed(
    f"It takes more than {JOB_SECONDS} s of the processor's time. Use fewer rounds of loops, or"
    " shorter texts."
)


class _OutOfTime(BaseException):
    """Ends a job; a BaseException, so that nothing on the way handles it."""


class _Alarm:
    """Raises _OutOfTime in a job that takes too long; a worse one is killed by the system."""

    def __init__(self) -> None:
        self._is_set = False
        signal.signal(signal.SIGPROF, self._ring)

    def _ring(self, _: int, __: FrameType | None) -> None:
        if self._is_set:
            raise _OutOfTime

    def start(self) -> None:
        """Gives the job its whole time, from now on."""
        signal.setitimer(signal.ITIMER_PROF, JOB_SECONDS, _REPEAT_SECONDS)

    def limit(self, work: Callable[[], Answer]) -> Answer:
        try:
            try:
                self._is_set = True
                self.start()
                return work()
            finally:
                self._is_set = False
                signal.setitimer(signal.ITIMER_PROF, 0)
        except _OutOfTime:
            self._is_set = False
            signal.setitimer(signal.ITIMER_PROF, 0)
            return TOO_SLOW


def serve(jobs: BinaryIO, answers: BinaryIO) -> None:
    """Answers batches of jobs until the input ends; jobs without a turn are answered as skipped.

    A batch begins with the number of its jobs.
    """
    alarm = _Alarm()
    while count := jobs.read(2):
        ends = time.process_time() + TURN_SECONDS
        limit = int(ends) + 1 + KILL_AFTER_SECONDS
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        flushed = now = time.process_time()
        written = 0
        for _ in range(int.from_bytes(count)):
            header = jobs.read(JOB_HEADER.size)
            body = jobs.read(length_of(JOB_HEADER, header))
            answer = None
            if now < ends and written < TURN_BYTES:
                answer = alarm.limit(lambda: _answer(read_job(header, body), alarm))  # noqa: B023
            written += answers.write(write_answer(answer))
            now = time.process_time()
            if now - flushed > _FLUSH_SECONDS:
                answers.flush()
                flushed = now
        answers.flush()


def _answer(job: Job, alarm: _Alarm) -> Answer:
    return check(job, before_each=alarm.start) if isinstance(job, CheckJob) else render(job)


def confine() -> None:
    """Gives up what rendering does not need; all files that it does need were read before."""
    load_zones()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the service ends us
    os.nice(NICENESS)
    for limit, most in (
        (resource.RLIMIT_AS, _memory_in_use() + MOST_MEMORY),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, _OPEN_FILES),
    ):
        resource.setrlimit(limit, (most, most))


def _memory_in_use() -> int:
    """Returns the size of our address space in bytes."""
    if sys.platform != "linux":
        return MOST_MEMORY
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123
        return int(file.read().split()[0]) * resource.getpagesize()


def end_with(parent: int) -> None:
    """Ends this process when its parent ends, also in the middle of a job."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    confine()
    serve(sys.stdin.buffer, sys.stdout.buffer)
