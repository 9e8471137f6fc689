"""Has commands forked from a process that has imported the service: see `prefork.py`."""

import atexit
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from tests.support.prefork import Command

ROOT = Path(__file__).parents[2]
PREFORK = "tests.support.prefork"

# imports may have read any other
_READ_WHEN_IT_RUNS = re.compile(
    r"EVENT_TRIGGER_|OTEL_(?!PROPAGATORS|PYTHON_)|XDG_|PYTEST_|([A-Z]+_)?(SECRET|TOKEN|AUTHORIZATION)$"
    r"|(DATABASE_URL|HOST|PORT|PWD|OLDPWD|PATH|SHLVL|_)$"
)


class Forked:
    """A forked process, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, pid: int, status: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._status = status
        self._lock = threading.Lock()
        weakref.finalize(self, os.close, status)

    def poll(self) -> int | None:
        with self._lock:
            if self.returncode is None and self._has_ended(0):
                self.returncode = int(os.read(self._status, 10))
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._has_ended(timeout)
        if (code := self.poll()) is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _has_ended(self, timeout: float | None) -> bool:
        poll = select.poll()
        poll.register(self._status, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))


class Forking:
    """The process that forks, and ends with this one."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._commands, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", PREFORK, str(theirs.fileno())],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )
        atexit.register(self._close)

    def suits(self, command: Command) -> bool:
        """Tells whether its environment is the same, as far as imports may have read it."""
        given = {*self._environment.items()} ^ {*command.environment.items()}
        return all(_READ_WHEN_IT_RUNS.match(name) for name, _ in given)

    def fork(self, command: Command, files: Sequence[IO[bytes]]) -> Forked:
        """Runs a command with this standard input, output and error."""
        status, theirs = os.pipe()
        try:
            pid = self.fork_with(command, [*(one.fileno() for one in files), theirs])
        finally:
            os.close(theirs)
        return Forked(pid, status)

    def fork_with(self, command: Command, files: Sequence[int]) -> int:
        """Runs a command with four files, the last for its exit status; returns its process id."""
        with self._lock:
            socket.send_fds(self._commands, [command.to_bytes()], files)
            return int(self._commands.recv(20))

    def _close(self) -> None:
        self._commands.close()
        self._process.wait()
