"""Stands in for `python -m event_trigger` in a shell: has the command forked, and ends as it ends.

Run as `python command_stub.py SOCKET ARGUMENT…`, where `shell.py` listens. It imports little, since
a document has up to thirty commands.
"""

import os
import signal
import socket
import sys

BYTES = 128 * 1024  # of an environment with its arguments; a larger one is refused


def main() -> None:
    path, *arguments = sys.argv[1:]
    variables = (f"{name}={value}" for name, value in os.environ.items())
    folder = os.getcwd()  # noqa: PTH109 - importing pathlib takes as long as all of this
    told = "\0".join([folder, str(len(arguments)), *arguments, *variables]).encode()
    status, theirs = os.pipe()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as commands:
        commands.connect(path)
        socket.send_fds(commands, [told], [0, 1, 2, theirs])
        pid = int(commands.recv(20))
    os.close(theirs)
    if pid == 0:  # an import might read a setting that the forked process has not
        os.execv(sys.executable, [sys.executable, "-m", "event_trigger", *arguments])
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda told, _: os.kill(pid, told))
    code = int(os.read(status, 10))
    os._exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    main()
