"""Chooses the OS account that PostgreSQL runs as, because PostgreSQL refuses to run as root."""

import os
import pwd
import stat
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# for data and programs that the account could not reach elsewhere
ROOT_FOLDER = Path("/var/lib/event-trigger-postgres")
# without PG*, which mislead, and without secrets, which /proc/<pid>/environ would show
_KEPT_VARIABLES = ("PATH", "LD_LIBRARY_PATH")
_LAUNCHER = Path(__file__).with_name("launcher.py")


class EmbeddedPostgresError(RuntimeError):
    """The embedded PostgreSQL cannot run; the message names the cause and the remedy."""


@dataclass(frozen=True)
class OsUser:
    """The account that PostgreSQL runs as: our own, or an unprivileged one if we are root."""

    uid: int
    gid: int

    def spawn(
        self,
        command: Iterable[str | Path],
        *,
        log: IO[bytes] | int = subprocess.PIPE,
        statements: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Starts a program that gets SIGINT when this process dies, even by SIGKILL.

        The calling thread must live as long as the program: to Linux, the parent is the thread that
        started it. Other threads may exist.
        """
        launcher = [sys.executable, "-I", "-S", _LAUNCHER, self.uid, self.gid, os.getpid()]
        return subprocess.Popen(  # noqa: S603 - programs that we chose, without a shell
            [str(part) for part in (*launcher, *command)],
            stdin=subprocess.PIPE if statements else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
            | {"LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            umask=0o077,
            start_new_session=True,  # Ctrl-C reaches only us: the server stops after the service
        )

    def run(self, command: Iterable[str | Path], *, statements: str = "") -> tuple[int, str]:
        """Runs a program to its end; returns its exit status and its output."""
        with self.spawn(command, statements=bool(statements)) as process:
            try:
                output, _ = process.communicate(statements.encode() if statements else None)
            except BaseException:
                process.kill()
                raise
        return process.returncode, output.decode(errors="replace").strip()

    @property
    def has_name(self) -> bool:
        """Whether the account is registered: in containers, any number may run a process."""
        try:
            pwd.getpwuid(self.uid)
        except KeyError:
            return False
        return True

    def reaches(self, folder: Path) -> bool:
        """Tells whether the account may enter this folder and all its parents."""
        return self.run(["/bin/sh", "-c", 'cd -- "$0"', folder])[0] == 0

    def make_private(self, folder: Path) -> Path:
        """Makes a folder with mode 0700 for the account; refuses one that another user has made."""
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {self.uid, os.geteuid()}:
            raise EmbeddedPostgresError(f"{folder} belongs to somebody else; remove it")
        if found.st_mode & 0o077:
            raise EmbeddedPostgresError(f"{folder} is open to others; run: chmod 700 '{folder}'")
        os.chown(folder, self.uid, self.gid, follow_symlinks=False)
        return folder


def os_user_for(cluster: Path, data_dir: Path) -> OsUser:
    """Returns the account of this process or, for root, the first of these that is not root:

    the owner of the cluster, the owner of the data directory, `postgres`, `nobody`. It never
    creates an account.
    """
    if os.geteuid() != 0:
        return OsUser(os.geteuid(), os.getegid())
    if cluster.exists() and (owned := cluster.stat()).st_uid != 0:
        return OsUser(owned.st_uid, owned.st_gid)
    for key in (data_dir.stat().st_uid, "postgres", "nobody"):
        if (account := _registered(key)) is not None:
            return account
    raise EmbeddedPostgresError(  # pragma: no cover - every Linux distribution has `nobody`
        "PostgreSQL refuses to run as root, and this machine has neither the user postgres nor "
        "nobody; run the service as an ordinary user, or set DATABASE_URL"
    )


def make_root_folder(folder: Path = ROOT_FOLDER) -> Path:
    """Makes root's folder, which every account can pass through; refuses one of another owner."""
    if not folder.exists():
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o711)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise EmbeddedPostgresError(f"{folder} must be a folder that only root may write to")
    return folder


def private_file(path: Path) -> IO[bytes]:
    """Opens a file for appending, owned by its folder's owner; never follows a symbolic link."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    file = os.fdopen(os.open(path, flags, 0o600), "ab")
    if os.geteuid() == 0:  # the folder's owner may later run the service without root
        owner = path.parent.stat()
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    return file


def _registered(key: int | str) -> OsUser | None:
    """Looks up a uid or name; returns None for root, and for unknown ones, which initdb refuses."""
    try:
        entry = pwd.getpwuid(key) if isinstance(key, int) else pwd.getpwnam(key)
    except KeyError:
        return None
    return OsUser(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None
