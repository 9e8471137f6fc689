"""Forks worker processes from a process that has imported the application once.

1. The first process forks the template, while it has one thread, and no connection or event loop.
2. The template imports the application, says so, and waits.
3. For each worker that is asked for, it forks: a fifth of the time of a start.
4. It waits for the workers' ends, and passes their exit codes on.

Workers share the memory of what was imported.
"""

import gc
import importlib
import logging
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import recv_handle, send_handle
from socket import socket
from typing import Any, NamedTuple

from uvicorn import Config, Server

_APPLICATION = "event_trigger.processes.serving"
_FORKING = multiprocessing.get_context("fork")
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_RESUME_EVERY_SECONDS, _MOST_RESUMES = 0.5, 40
_UNKNOWN_EXIT_CODE = 255  # of a worker that ended after its template


class TemplateEnded(Exception):
    """The template has ended, so that no worker can be started any more."""


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """The variables of a worker's environment, and its options of uvicorn."""

    environment: dict[str, str]
    options: dict[str, Any]


class ForkedWorker(NamedTuple):
    """The process id of a worker, and a file that holds its exit code when it has ended."""

    pid: int
    status: int


class Template:
    """The first process's side of the template."""

    def __init__(self, listeners: Sequence[socket]) -> None:
        """Forks; the workers will serve on these sockets."""
        assert threading.active_count() == 1, "a fork has no other threads, but their locks"
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        self._requests, theirs = multiprocessing.Pipe()
        self._process = _FORKING.Process(
            target=_fork_workers, args=(theirs, self._requests, listeners), name="template"
        )
        self._process.start()
        theirs.close()
        self._has_imported = False

    @property
    def requests(self) -> Connection:
        """Becomes readable when the template has imported the application, or has ended."""
        return self._requests

    def has_imported(self) -> bool:
        """Raises TemplateEnded if it has failed."""
        if not self._has_imported and self._requests.poll():
            try:
                self._has_imported = self._requests.recv()
            except (EOFError, OSError):
                raise TemplateEnded from None
        return self._has_imported

    def fork(self, request: WorkerRequest, pings: Connection) -> ForkedWorker:
        """Starts a worker, which answers `pings`; raises TemplateEnded, or OSError if it cannot."""
        status, theirs = os.pipe()
        try:
            pid = self._ask(request, (pings.fileno(), theirs))
        except BaseException:
            os.close(status)
            raise
        finally:
            os.close(theirs)
        return ForkedWorker(pid, status)

    def _ask(self, request: WorkerRequest, handles: Sequence[int]) -> int:
        try:
            self._requests.send(request)
            for handle in handles:
                send_handle(self._requests, handle, self._process.pid)
            answer = self._answer()
        except (EOFError, OSError):
            raise TemplateEnded from None
        if isinstance(answer, OSError):
            raise answer
        return answer

    def _answer(self) -> int | OSError:
        for _ in range(_MOST_RESUMES):
            if self._requests.poll(_RESUME_EVERY_SECONDS):
                answer: int | OSError = self._requests.recv()
                return answer
            self.resume()
        self._process.kill()
        raise TemplateEnded

    def resume(self) -> None:
        """Lets the template go on if it was stopped: nobody else knows when a worker has ended."""
        assert self._process.pid is not None
        with suppress(ProcessLookupError):  # it has ended, and SIGCHLD is ignored
            os.kill(self._process.pid, signal.SIGCONT)

    def close(self) -> None:
        """Lets the template end, after its workers."""
        if not self._has_imported:  # it has none
            self._process.kill()
        self._requests.close()
        self.resume()
        self._process.join()


@contextmanager
def template_of(workers: int, listeners: Sequence[socket]) -> Iterator[Template | None]:
    """Gives the template of several workers; None for one, which serves in the first process."""
    if workers == 1:
        yield None
        return
    template = None
    try:
        with _signals_waiting():  # none may come when there is a process that is not known yet
            template = Template(listeners)
        yield template
    finally:
        if template is not None:
            template.close()


@contextmanager
def _signals_waiting() -> Iterator[None]:
    """Keeps signals that end a process for later, here and in a process that is forked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def exit_code_in(status: int) -> int:
    """Reads the exit code of a worker that has ended."""
    said = os.read(status, 20)
    return int(said) if said else _UNKNOWN_EXIT_CODE


def _fork_workers(requests: Connection, of_first: Connection, listeners: Sequence[socket]) -> None:
    """Runs in the template, until the first process ends."""
    of_first.close()
    hangup = signal.getsignal(signal.SIGHUP)
    for number in (*_ENDING, signal.SIGTTIN, signal.SIGTTOU):  # of a whole group of processes
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # or nobody would hear how a worker has ended
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    logging.root.handlers = []  # lines that the first process holds are its own
    _import_application()
    running: dict[int, tuple[BaseProcess, int]] = {}  # and the file for the status, by sentinel
    with suppress(EOFError, ConnectionError):
        requests.send(True)
        while True:
            for ready in wait([requests, *running]):
                if isinstance(ready, int):
                    _tell_status(*running.pop(ready))
                    continue
                request = requests.recv()
                pings, status = (recv_handle(requests) for _ in range(2))
                with Connection(pings) as connection:
                    inherited = [requests.fileno(), *(one for _, one in running.values())]
                    worker = _FORKING.Process(
                        target=_serve, args=(request, connection, listeners, inherited, hangup)
                    )
                    answer = _start(worker)
                if isinstance(answer, OSError):
                    os.close(status)
                else:
                    running[worker.sentinel] = worker, status
                requests.send(answer)


def _start(worker: BaseProcess) -> int | OSError:
    """Gives the process id, or the reason why the system starts no process."""
    try:
        with _signals_waiting():  # until the worker no longer ignores them
            worker.start()
    except OSError as error:
        return error
    assert worker.pid is not None
    return worker.pid


def _tell_status(worker: BaseProcess, status: int) -> None:
    worker.join()
    with suppress(BrokenPipeError):
        os.write(status, str(worker.exitcode).encode())
    os.close(status)


def _import_application() -> None:
    importlib.import_module(_APPLICATION).prepare_workers()
    gc.freeze()  # a collection would write to all shared memory


def _serve(
    request: WorkerRequest,
    pings: Connection,
    listeners: Sequence[socket],
    inherited: Sequence[int],
    hangup: Any,
) -> None:
    """Serves in a worker until a signal ends it, or the first process has ended."""
    for file in inherited:
        os.close(file)
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again when it is over
        signal.signal(number, _end)
    if hangup != signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _ENDING)
    os.environ.update(request.environment)
    server = Server(Config(f"{_APPLICATION}:worker_app", factory=True, **request.options))
    threading.Thread(target=_answer, args=(pings, server), daemon=True).start()
    server.run([*listeners])


def _end(number: int, _frame: object) -> None:
    """Writes the lines that the log holds, and then lets the signal end the worker."""
    logging.shutdown()
    signal.signal(number, signal.SIG_DFL)
    signal.raise_signal(number)


def _answer(pings: Connection, server: Server) -> None:
    """Tells the first process whether the server has started, and ends with that process."""
    try:
        while True:
            pings.recv()
            pings.send(server.started)
    except (EOFError, OSError):
        os.kill(os.getpid(), signal.SIGTERM)
