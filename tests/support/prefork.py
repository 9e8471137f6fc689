"""Forks commands from a process that has imported the service: starting one takes two seconds.

That process has done nothing else: it has no thread, event loop or connection. A fork has the
folder, the environment and the files of its command, and runs `python -m event_trigger` in them.
"""

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass

from event_trigger.api import built_api

MODULE = "event_trigger"
LARGEST_REQUEST = 128 * 1024  # bytes
_MADE_TO_RUN = (  # by one command or another; each brings what it needs
    "alembic.runtime.environment",
    "event_trigger.commands",
    "event_trigger.completion",
    "event_trigger.execution",
    "event_trigger.processes.server",
    "event_trigger.processes.serving",
    "event_trigger_client.cli",
    "httpcore",
    "httpx",
    "typer",
    "yaml",
)


@dataclass(frozen=True)
class Command:
    """A command to run; its standard input, output and error come beside it."""

    arguments: Sequence[str]
    folder: str
    environment: dict[str, str]

    def to_bytes(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    def take_over(self, files: Sequence[int]) -> None:
        """Gives this process the command's files, folder, environment and arguments."""
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, file in enumerate(files):
            os.dup2(file, number)
        os.closerange(len(files), os.sysconf("SC_OPEN_MAX"))
        os.chdir(self.folder)
        os.environ.clear()
        os.environ.update(self.environment)
        sys.path[0] = self.folder
        sys.argv = ["-m", *self.arguments]
        sys.orig_argv = [sys.executable, "-m", MODULE, *self.arguments]


def fork_until_closed(commands: socket.socket) -> bool:
    """Forks for each command that comes; False in the end, and True in each fork.

    Its answer is the process id. The exit status follows on the fourth file of the command.
    """
    poll = select.poll()
    poll.register(commands, select.POLLIN)
    running: dict[int, tuple[int, int]] = {}  # process ids and files for the status, by pidfd
    while True:
        for ready, _ in poll.poll():
            if ready != commands.fileno():
                poll.unregister(ready)
                _tell_status(ready, *running.pop(ready))
                continue
            sent, files, _, _ = socket.recv_fds(commands, LARGEST_REQUEST, 4)
            if not sent:
                return False
            *files, status = files
            if (pid := os.fork()) == 0:
                commands.detach()  # its number is free for other files
                Command(**json.loads(sent)).take_over(files)
                return True
            for one in files:
                os.close(one)
            pidfd = os.pidfd_open(pid)
            running[pidfd] = pid, status
            poll.register(pidfd, select.POLLIN)
            commands.send(str(pid).encode())


def _tell_status(pidfd: int, pid: int, status: int) -> None:
    _, ended = os.waitpid(pid, 0)
    os.close(pidfd)
    os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
    os.close(status)


@contextmanager
def _left_at_once() -> Iterator[None]:
    """Ends the process after its exit handlers, of which this must be the first that is registered.

    To take all that was imported apart takes 0.1 s, which few commands take for what they do.
    """
    status = 0

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)

    atexit.register(leave)
    try:
        yield
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
        raise
    except BaseException:
        atexit.unregister(leave)
        raise


def main() -> None:
    with _left_at_once():
        _fork_commands()


def _fork_commands() -> None:
    for name in _MADE_TO_RUN:
        __import__(name)
    for route in built_api().routes:
        getattr(route, "dependant", None)  # imports and analyses the operation
    assert threading.active_count() == 1, "an import has started a thread, which no fork would have"
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests, which close the socket
    if fork_until_closed(socket.socket(fileno=int(sys.argv[1]))):
        runpy.run_module(MODULE, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
