"""Several processes serve one listener, and one that ends or falls silent is replaced.

uvicorn has a supervisor too. It waits for each answer of each worker, kills those that are silent
for five seconds, also while they are still importing, and does nothing else until then.
"""

import pickle
import signal
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from socket import socket

import structlog
from uvicorn import Config
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import Process

from event_trigger.db.embedded.supervisor import exit_status

log = structlog.get_logger()

LOOK_EVERY = 0.5  # seconds
# looks in a row at which a worker has not answered, after which it is replaced; looks, and not
# seconds, so that a machine that slept for a minute does not lose all of its workers
SILENT_LOOKS, SILENT_LOOKS_AT_START = 40, 600
END_WITHIN = 40.0  # seconds that a worker has to end in good order
LONGEST_PAUSE = 30.0  # seconds before a worker that cannot start is tried again


class WorkerProcess(Process):
    """A process that serves, and its last word; it is asked, and never waited for."""

    def __init__(self, config: Config, listener: socket) -> None:
        super().__init__(config, [listener])
        self.is_serving = False
        self._late_from = float("inf")
        self._unanswered = 0
        self._is_asked = False

    @property
    def is_over(self) -> bool:
        return not self.process.is_alive()

    @property
    def is_hung(self) -> bool:
        return self._unanswered > (SILENT_LOOKS if self.is_serving else SILENT_LOOKS_AT_START)

    def look(self) -> None:
        """Takes the answer to the question before, if there is one by now, and asks again."""
        try:
            if self._is_asked and not self.parent_conn.poll():
                self._unanswered += 1
                return
            if self._is_asked:
                self.is_serving = self.parent_conn.recv() or self.is_serving
            self.parent_conn.send(b"ping")
        except (OSError, EOFError, pickle.UnpicklingError):
            self._unanswered += 1
        else:
            self._is_asked, self._unanswered = True, 0

    def tell_to_end(self) -> None:
        self._late_from = time.monotonic() + END_WITHIN
        self.terminate()

    def end_if_late(self) -> None:
        if time.monotonic() > self._late_from:
            self.end_at_once()

    def end_at_once(self) -> None:
        self.process.kill()
        self._unanswered = 0


@dataclass
class WorkerSlot:
    """Where one worker belongs, and a successor while the workers are being restarted."""

    worker: WorkerProcess | None = None
    successor: WorkerProcess | None = None
    failed_starts: int = 0
    empty_until: float = 0.0

    def count_failed_start(self) -> None:
        pause = min(2.0**self.failed_starts, LONGEST_PAUSE)
        self.failed_starts += 1
        self.empty_until = time.monotonic() + pause


class WorkerSupervisor:
    """The first process of `serve --workers`: it serves nobody, and keeps those who do."""

    def __init__(
        self, config: Config, listener: socket, *, count: int, all_served: threading.Event
    ) -> None:
        """`all_served` is set once all workers serve."""
        self._config = config
        self._listener = listener
        self._all_served = all_served
        self._places = [WorkerSlot() for _ in range(count)]
        self._to_restart: list[WorkerSlot] = []
        self._leaving: list[WorkerProcess] = []
        self._signals: list[int] = []
        self._is_ending = False
        self._cannot_start = False

    def run(self) -> None:
        """Keeps the workers until told to end, by SIGINT or SIGTERM, and then ends them.

        SIGHUP replaces all, one after another, each when its successor serves; SIGTTIN and
        SIGTTOU make it one more or one less. Raises SystemExit if the first ones cannot start.
        """
        obeyed = {
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGHUP: self._restart,
            signal.SIGTTIN: self._add,
            signal.SIGTTOU: self._remove,
        }
        for number in obeyed:
            signal.signal(number, lambda received, _: self._signals.append(received))
        while not self._is_ending:
            for place in self._places:
                self._look_at(place)
            self._go_on_restarting()
            self._see_off()
            self._note_service()
            wait([worker.process.sentinel for worker in self._all()], LOOK_EVERY)
            while self._signals:
                obeyed[signal.Signals(self._signals.pop(0))]()
        self._end_all()
        if self._cannot_start:
            raise SystemExit(STARTUP_FAILURE)

    def _all(self) -> list[WorkerProcess]:
        kept = [one for place in self._places for one in (place.worker, place.successor)]
        return [worker for worker in (*kept, *self._leaving) if worker is not None]

    def _started(self) -> WorkerProcess:
        worker = WorkerProcess(self._config, self._listener)
        worker.start()
        log.info("worker_started", pid=worker.pid)
        return worker

    def _look_at(self, place: WorkerSlot) -> None:
        """Replaces a worker that has ended, and ends one that is silent."""
        if place.worker is None:
            if time.monotonic() >= place.empty_until and not self._is_ending:
                place.worker = self._started()
            return
        worker = place.worker
        worker.look()
        if worker.is_over:
            self._replace(place, worker)
        elif worker.is_hung:
            log.error("worker_hung", pid=worker.pid)
            worker.end_at_once()
        elif worker.is_serving:
            place.failed_starts = 0

    def _replace(self, place: WorkerSlot, worker: WorkerProcess) -> None:
        _log_end(worker)
        if worker.exitcode == STARTUP_FAILURE and not self._all_served.is_set():
            # it would fail in the same way again; later, the database may only be away
            self._cannot_start = self._is_ending = True
        place.worker, place.successor = place.successor, None
        if place.worker is None and not worker.is_serving:
            place.count_failed_start()

    def _note_service(self) -> None:
        workers = [place.worker for place in self._places]
        if all(one is not None and one.is_serving for one in workers):
            self._all_served.set()

    def _end(self) -> None:
        self._is_ending = True

    def _restart(self) -> None:
        log.info("workers_restarting", count=len(self._places))
        self._to_restart = list(self._places)

    def _go_on_restarting(self) -> None:
        """Brings one successor at a time into service, and only then ends whom it replaces."""
        if not self._to_restart:
            return
        place = self._to_restart[0]
        if place.worker is None or place not in self._places:  # it is a new one's place already
            self._to_restart.pop(0)
        elif place.successor is None:
            place.successor = self._started()
        else:
            self._hand_over(place, place.worker, place.successor)

    def _hand_over(
        self, place: WorkerSlot, worker: WorkerProcess, successor: WorkerProcess
    ) -> None:
        successor.look()
        if successor.is_over or successor.is_hung:
            _log_end(successor)
            log.error("workers_not_restarted", kept=len(self._to_restart))
            self._see_off(successor)
            place.successor, self._to_restart = None, []
        elif successor.is_serving:
            self._see_off(worker)
            place.worker, place.successor = successor, None
            self._to_restart.pop(0)

    def _add(self) -> None:
        self._places.append(WorkerSlot())

    def _remove(self) -> None:
        if len(self._places) > 1:
            place = self._places.pop()
            self._see_off(*(one for one in (place.worker, place.successor) if one is not None))

    def _see_off(self, *workers: WorkerProcess) -> None:
        """Tells workers to end, and forgets those that have ended."""
        for worker in workers:
            worker.tell_to_end()
        self._leaving += workers
        for worker in self._leaving:
            worker.end_if_late()
        self._leaving = [worker for worker in self._leaving if not worker.is_over]

    def _end_all(self) -> None:
        living = self._all()
        for place in self._places:
            place.worker = place.successor = None
        self._see_off(*living)
        while self._leaving:
            wait([worker.process.sentinel for worker in self._leaving], LOOK_EVERY)
            self._see_off()


def _log_end(worker: WorkerProcess) -> None:
    if worker.exitcode is not None:
        log.error(
            "worker_ended", pid=worker.pid, served=worker.is_serving, **exit_status(worker.exitcode)
        )
