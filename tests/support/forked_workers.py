"""Forks the first workers of a forked `serve --workers`: starting one takes two seconds.

They are forked before the command runs, while its process has one thread, and wait until
multiprocessing would start an interpreter for each: then they go on as that would. It does start
those that come later, such as the successor of a killed worker. A forked worker has imported
prometheus_client already, and keeps its numbers in memory: a command that names the folder of these
numbers is not forked.
"""

import fcntl
import json
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Sequence
from multiprocessing import spawn, util

_LARGEST_MESSAGE = 128 * 1024  # bytes
_MOST_FILES = 64
_IS_WORKER = "--multiprocessing-fork"


def number_of_workers(arguments: Sequence[str]) -> int:
    """Returns how many workers a command has; 0 if it has none, or if its arguments are wrong."""
    found = re.fullmatch(r"serve .*--workers (\d)", " ".join(arguments))
    return int(found[1]) if found is not None and int(found[1]) > 1 else 0


def fork_workers(count: int) -> None:
    """Forks workers that wait; they leave only by SystemExit."""
    waiting: deque[tuple[int, socket.socket]] = deque()
    for _ in range(count):
        ours, theirs = socket.socketpair(type=socket.SOCK_SEQPACKET)
        if (pid := os.fork()) == 0:
            for one in (ours, *(other for _, other in waiting)):
                one.close()
            _work(theirs)
        theirs.close()
        waiting.append((pid, ours))
    start = util.spawnv_passfds

    def begin(path: bytes, words: Sequence[str | bytes], files: Sequence[int]) -> int:
        if _IS_WORKER not in words or not waiting:
            return start(path, words, files)
        pid, channel = waiting.popleft()
        with channel:
            told = [[os.fsdecode(one) for one in words], files, dict(os.environ)]
            socket.send_fds(channel, [json.dumps(told).encode()], files)
        return pid

    util.spawnv_passfds = begin


def _work(commands: socket.socket) -> None:
    """Does in this process what a started interpreter would; ends it if it is not needed."""
    message, received, _, _ = socket.recv_fds(commands, _LARGEST_MESSAGE, _MOST_FILES)
    if not message:
        os._exit(0)
    words, files, environment = json.loads(message)
    beyond = max((*files, *received, commands.fileno())) + 1
    kept = [fcntl.fcntl(one, fcntl.F_DUPFD, beyond) for one in received]
    os.closerange(3, beyond)
    commands.detach()
    for one, number in zip(kept, files, strict=True):
        os.dup2(one, number)
        os.close(one)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["-c", _IS_WORKER]
    sys.orig_argv = words
    numbers = re.findall(r"(\w+)=(\d+)", words[words.index("-c") + 1])
    spawn.spawn_main(**{name: int(number) for name, number in numbers})
