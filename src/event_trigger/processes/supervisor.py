"""Runs several processes on one listening socket, and replaces one that ends or hangs.

uvicorn's own supervisor is not used: it blocks on each worker's answer, and kills a worker that
does not answer within five seconds, even while that is still importing.
"""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import wait
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog
from uvicorn.config import STARTUP_FAILURE

from event_trigger.db.embedded.supervisor import exit_status
from event_trigger.processes.template import Template, TemplateEnded, WorkerRequest
from event_trigger.processes.worker import CHECK_WORKERS_EVERY_SECONDS, WorkerProcess, WorkerSlot

log = structlog.get_logger()

_NO_TEMPLATE = "The process that forks them has ended; see above what it has said."
_NONE_SERVED = "Each process has ended before it served, or was not started; see above why."
MOST_FIRST_STARTS = 5  # of one worker, as long as none has ever served
METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # as prometheus_client calls it


class WorkerSupervisor:
    """Starts, checks and replaces the workers, in the first process of `serve --workers`."""

    def __init__(
        self,
        template: Template,
        request: WorkerRequest,
        *,
        count: int,
        all_served: threading.Event,
        prepared: threading.Event,
    ) -> None:
        """`all_served` is set once all workers serve, `prepared` after the line `started`."""
        self._template = template
        self._request = request
        self._all_served = all_served
        self._prepared = prepared
        self._slots = [WorkerSlot() for _ in range(count)]
        self._to_restart: list[WorkerSlot] = []
        self._leaving: list[WorkerProcess] = []
        self._signals: list[int] = []
        self._is_ending = False
        self._cannot_start = False
        self._has_served = False

    def run(self) -> None:
        """Keeps the workers running until SIGINT or SIGTERM, and then ends them.

        SIGHUP replaces them one after another, each when its successor serves. SIGTTIN adds a
        worker, SIGTTOU removes one. Raises SystemExit if a worker cannot start before all have
        served: at once if the application says so, or after five tries if none has ever served.
        """
        handlers = {
            signal.SIGINT: self._end,
            signal.SIGTERM: self._end,
            signal.SIGHUP: self._restart,
            signal.SIGTTIN: self._add,
            signal.SIGTTOU: self._remove,
        }
        for number in handlers:
            signal.signal(number, lambda received, _: self._signals.append(received))
        try:
            while not self._is_ending:
                self._look()
                while self._signals:
                    handlers[signal.Signals(self._signals.pop(0))]()
        except TemplateEnded:
            log.error("workers_cannot_start", reason=_NO_TEMPLATE)
            self._cannot_start = True
        finally:
            self._tell_started()
            self._end_all()
        if self._cannot_start:
            raise SystemExit(STARTUP_FAILURE)

    def _look(self) -> None:
        """Looks after all workers, and waits until something happens, or for half a second."""
        if not self._template.has_imported():
            wait([self._template.requests], CHECK_WORKERS_EVERY_SECONDS)
            return
        self._template.resume()
        for slot in self._slots:
            self._check(slot)
        self._continue_restart()
        self._reap()
        self._tell_started()
        self._note_all_served()
        wait([worker.sentinel for worker in self._all()], CHECK_WORKERS_EVERY_SECONDS)

    def _all(self) -> list[WorkerProcess]:
        return [*self._kept(), *self._leaving]

    def _kept(self) -> list[WorkerProcess]:
        kept = [one for slot in self._slots for one in (slot.worker, slot.successor)]
        return [worker for worker in kept if worker is not None]

    def _start_worker(self) -> WorkerProcess | None:
        """Gives None, and logs why, if the system has no room for a process now."""
        try:
            worker = WorkerProcess()
            worker.start(self._template, self._request)
        except OSError as error:
            log.error("worker_not_started", error=error.strerror)
            return None
        return worker

    def _check(self, slot: WorkerSlot) -> None:
        """Starts a missing worker, replaces one that has ended, and kills one that hangs."""
        if slot.worker is None:
            if time.monotonic() >= slot.empty_until and not self._is_ending:
                slot.worker = self._start_worker()
                if slot.worker is None:
                    self._count_failed_start(slot)
            return
        worker = slot.worker
        worker.check()
        if worker.is_over:
            self._replace(slot, worker)
        elif worker.is_hung:
            log.error("worker_hung", pid=worker.pid)
            worker.kill()
        elif worker.is_serving:
            slot.failed_starts, self._has_served = 0, True

    def _replace(self, slot: WorkerSlot, worker: WorkerProcess) -> None:
        _log_end(worker)
        self._forget_gauges(worker)
        if worker.exit_code == STARTUP_FAILURE and not self._all_served.is_set():
            # it would fail again in the same way; after a first start, the database may be down
            self._cannot_start = self._is_ending = True
        slot.worker, slot.successor = slot.successor, None
        if slot.worker is None and not worker.is_serving:
            self._count_failed_start(slot)

    def _count_failed_start(self, slot: WorkerSlot) -> None:
        slot.count_failed_start()
        if self._is_ending or self._has_served:
            return
        if slot.failed_starts == MOST_FIRST_STARTS:
            log.error("workers_cannot_start", tries=slot.failed_starts, reason=_NONE_SERVED)
            self._cannot_start = self._is_ending = True

    def _tell_started(self) -> None:
        """Logs which workers serve, below the line `started`."""
        for worker in self._all() if self._prepared.is_set() else []:
            if worker.is_serving and not worker.is_told:
                worker.is_told = True
                log.info("worker_started", pid=worker.pid)

    def _note_all_served(self) -> None:
        if all(slot.worker is not None and slot.worker.is_serving for slot in self._slots):
            self._all_served.set()

    def _end(self) -> None:
        log.info("stopping")
        self._is_ending = True

    def _restart(self) -> None:
        log.info("workers_restarting", count=len(self._slots))
        self._to_restart = list(self._slots)

    def _continue_restart(self) -> None:
        """Starts one successor at a time, and ends the old worker only when the new one serves."""
        if not self._to_restart:
            return
        slot = self._to_restart[0]
        if slot.worker is None or slot not in self._slots:  # empty or removed: nothing to replace
            self._to_restart.pop(0)
        elif slot.successor is None:
            slot.successor = self._start_worker()
            if slot.successor is None:
                self._give_up_restart()
        else:
            self._hand_over(slot, slot.worker, slot.successor)

    def _hand_over(self, slot: WorkerSlot, worker: WorkerProcess, successor: WorkerProcess) -> None:
        successor.check()
        if successor.is_over or successor.is_hung:
            _log_end(successor)
            self._give_up_restart()
            self._reap(successor)
            slot.successor = None
        elif successor.is_serving:
            self._reap(worker)
            slot.worker, slot.successor = successor, None
            self._to_restart.pop(0)

    def _give_up_restart(self) -> None:
        log.error("workers_not_restarted", kept=len(self._to_restart))
        self._to_restart = []
        for slot in self._slots:  # another SIGHUP may have left one there
            if slot.successor is not None:
                self._reap(slot.successor)
                slot.successor = None

    def _add(self) -> None:
        self._slots.append(WorkerSlot())

    def _remove(self) -> None:
        if len(self._slots) > 1:
            slot = self._slots.pop()
            self._reap(*(one for one in (slot.worker, slot.successor) if one is not None))

    def _reap(self, *workers: WorkerProcess) -> None:
        """Tells these workers to end; kills leaving ones that are late, and forgets ended ones."""
        for worker in workers:
            worker.tell_to_end()
        self._leaving += workers
        for worker in self._leaving:
            worker.end_if_late()
            if worker.is_over:
                self._forget_gauges(worker)
        self._leaving = [worker for worker in self._leaving if not worker.is_over]

    def _end_all(self) -> None:
        kept = self._kept()
        for slot in self._slots:
            slot.worker = slot.successor = None
        self._reap(*kept)
        while self._leaving:
            self._template.resume()
            wait([worker.sentinel for worker in self._leaving], CHECK_WORKERS_EVERY_SECONDS)
            self._reap()

    def _forget_gauges(self, worker: WorkerProcess) -> None:
        """Deletes the gauges of an ended worker, as `mark_process_dead` does; counts stay."""
        directory = Path(self._request.environment[METRICS_DIRECTORY])
        with suppress(OSError):  # too many open files, which must not end the other workers
            for file in directory.glob(f"gauge_live*_{worker.pid}.db"):
                file.unlink(missing_ok=True)


@contextmanager
def metrics_directory(chosen: str | None, *, port: int) -> Iterator[Path]:
    """Makes the directory in which workers share their metrics, without files of a run before.

    In a chosen one it is a folder of its own, named by the port, which no other service has.
    """
    with TemporaryDirectory(prefix="event-trigger-metrics-") as made:
        directory = Path(chosen) / f"event-trigger-{port}" if chosen else Path(made)
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for file in directory.glob("*.db"):
            file.unlink()
        yield directory


def _log_end(worker: WorkerProcess) -> None:
    if worker.exit_code is not None:
        log.error(
            "worker_ended",
            pid=worker.pid,
            served=worker.is_serving,
            **exit_status(worker.exit_code),
        )
