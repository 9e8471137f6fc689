"""Becomes a program that ends with its service: a script of its own, run before the program.

To run code between fork and exec is safe only while a process has one thread, and a server is
also started again when there are many. So this runs in a fresh interpreter, which nobody else
shares, gives up root's privileges, and turns into the program, under the same pid.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = ctypes.c_ulong(1)


def become(uid: int, gid: int, parent: int, command: list[str]) -> None:
    """Replaces this process by the command; on Linux it gets SIGINT when its parent dies.

    The order matters: Linux forgets the signal when the user changes.
    """
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    if sys.platform == "linux":
        nothing, asked_for = ctypes.c_ulong(0), ctypes.c_ulong(signal.SIGINT)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, asked_for, nothing, nothing, nothing)
    if os.getppid() != parent:
        sys.exit(1)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # an interpreter ignores it; a program need not
    try:
        os.execv(command[0], command)  # noqa: S606 - a program that we chose
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
