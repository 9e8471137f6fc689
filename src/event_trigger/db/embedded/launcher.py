"""Starts a program that ends with its parent: a script that drops privileges and then execs.

Code between fork and exec is safe only in a process with one thread, and the service, which may
start a server again, has many. So this script runs in a fresh interpreter, gives up root's
privileges, and replaces itself by the program, under the same pid.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = ctypes.c_ulong(1)


def become(uid: int, gid: int, parent: int, command: list[str]) -> None:
    """Replaces this process by the command, which on Linux gets SIGINT when its parent dies.

    The user is changed first, because Linux clears the parent-death signal at that.
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
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Python ignores it, and exec would keep that
    try:
        os.execv(command[0], command)  # noqa: S606 - a program that we chose
    except OSError as error:
        sys.exit(f"{command[0]}: {error.strerror}")


if __name__ == "__main__":
    become(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
