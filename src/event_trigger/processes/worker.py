"""The process of one worker, as the supervisor sees it: its pings, its health and its end."""

import os
import pickle
import signal
import time
import weakref
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import wait

from event_trigger.processes.template import ForkedWorker, Template, WorkerRequest, exit_code_in

CHECK_WORKERS_EVERY_SECONDS = 0.5
# unanswered checks in a row after which a worker is replaced; not seconds, so that a machine that
# was suspended for a minute does not replace all its workers
MAX_UNANSWERED_CHECKS, MAX_UNANSWERED_CHECKS_AT_START = 40, 600
END_WITHIN_SECONDS = 40.0  # then a worker is killed
LONGEST_RESTART_PAUSE_SECONDS = 30.0  # before a worker that cannot start is started again


class WorkerProcess:
    """A worker process and its health; pings are sent to it without waiting for the answer."""

    def __init__(self) -> None:
        self.is_serving = False
        self.is_told = False  # in the log
        self._pings, self._theirs = Pipe()
        self._forked: ForkedWorker | None = None
        self._exit_code: int | None = None
        self._kill_after = float("inf")
        self._unanswered = 0
        self._is_pinged = False
        self._next_check_at = 0.0

    def start(self, template: Template, request: WorkerRequest) -> None:
        """Raises TemplateEnded, or OSError if the system has no room for a process."""
        self._forked = template.fork(request, self._theirs)
        self._theirs.close()
        weakref.finalize(self, os.close, self._forked.status)

    @property
    def pid(self) -> int | None:
        return None if self._forked is None else self._forked.pid

    @property
    def sentinel(self) -> int:
        """Is readable when the process has ended."""
        assert self._forked is not None
        return self._forked.status

    @property
    def exit_code(self) -> int | None:
        if self._exit_code is None and wait([self.sentinel], 0):
            self._exit_code = exit_code_in(self.sentinel)
        return self._exit_code

    @property
    def is_over(self) -> bool:
        return self.exit_code is not None

    @property
    def is_hung(self) -> bool:
        return self._unanswered > (
            MAX_UNANSWERED_CHECKS if self.is_serving else MAX_UNANSWERED_CHECKS_AT_START
        )

    def check(self) -> None:
        """Reads the answer to the last ping, if it has arrived, and then sends another one.

        Calls that follow within a moment do nothing: the loop turns without a pause while another
        process, whose sentinel is ready, is not quite over.
        """
        now = time.monotonic()
        if now < self._next_check_at:
            return
        self._next_check_at = now + CHECK_WORKERS_EVERY_SECONDS / 2
        try:
            if self._is_pinged and not self._pings.poll():
                self._unanswered += 1
                return
            if self._is_pinged and self._pings.recv():
                self.is_serving = True
            self._pings.send(b"ping")
        except (OSError, EOFError, pickle.UnpicklingError):
            self._unanswered += 1
        else:
            self._is_pinged, self._unanswered = True, 0

    def tell_to_end(self) -> None:
        self._kill_after = time.monotonic() + END_WITHIN_SECONDS
        self._signal(signal.SIGTERM)

    def end_if_late(self) -> None:
        if time.monotonic() > self._kill_after:
            self.kill()

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._unanswered = 0

    def _signal(self, number: signal.Signals) -> None:
        if self._forked is not None and not self.is_over:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(self._forked.pid, number)


@dataclass
class WorkerSlot:
    """The place of one worker, and of its successor during a rolling restart."""

    worker: WorkerProcess | None = None
    successor: WorkerProcess | None = None
    failed_starts: int = 0
    empty_until: float = 0.0

    def count_failed_start(self) -> None:
        pause = min(2.0**self.failed_starts, LONGEST_RESTART_PAUSE_SECONDS)
        self.failed_starts += 1
        self.empty_until = time.monotonic() + pause
