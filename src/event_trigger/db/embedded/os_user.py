"""PostgreSQL refuses to run as root, so a service run by root needs an account to run it as."""

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

SHELF = Path("/var/lib/event-trigger-postgres")  # root's place for what an account cannot reach
_INHERITED = ("PATH", "LD_LIBRARY_PATH")  # no PG* that misleads, no secret in /proc/<pid>/environ
_LAUNCHER = Path(__file__).with_name("launcher.py")


class EmbeddedPostgresError(RuntimeError):
    """Says what keeps the embedded PostgreSQL from running, and what a person can do about it."""


@dataclass(frozen=True)
class OsUser:
    """Whom PostgreSQL runs as: ourselves, or somebody without privileges if we are root."""

    uid: int
    gid: int

    def spawn(
        self,
        command: Iterable[str | Path],
        *,
        log: IO[bytes] | int = subprocess.PIPE,
        statements: bool = False,
    ) -> subprocess.Popen[bytes]:
        """Starts a program that is told to shut down when this process dies, however it dies.

        To be called from a thread that lives for as long as the program: to Linux, the thread that
        started it is its parent. Other threads may exist.
        """
        launcher = [sys.executable, "-I", "-S", _LAUNCHER, self.uid, self.gid, os.getpid()]
        return subprocess.Popen(  # noqa: S603 - programs that we chose, without a shell
            [str(part) for part in (*launcher, *command)],
            stdin=subprocess.PIPE if statements else subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={name: os.environ[name] for name in _INHERITED if name in os.environ}
            | {"LC_ALL": "C", "TZ": "UTC"},
            cwd="/",
            umask=0o077,
            start_new_session=True,  # Ctrl-C is for us: the server stops after we have drained
        )

    def run(self, command: Iterable[str | Path], *, statements: str = "") -> tuple[int, str]:
        """Runs a program to its end and returns its exit status and what it printed."""
        with self.spawn(command, statements=bool(statements)) as process:
            try:
                output, _ = process.communicate(statements.encode() if statements else None)
            except BaseException:
                process.kill()
                raise
        return process.returncode, output.decode(errors="replace").strip()

    def reaches(self, folder: Path) -> bool:
        """Whether the account may pass through every folder on the way, and this one too."""
        return self.run(["/bin/sh", "-c", 'cd -- "$0"', folder])[0] == 0

    def make_private(self, folder: Path) -> Path:
        """Makes a folder for the account alone, and refuses one that somebody else planted."""
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
    """Whoever runs this process; for root the cluster's owner, else the data directory's.

    When root owns these too it is `postgres`, or else `nobody`; accounts are never created.
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


def make_shelf(shelf: Path = SHELF) -> Path:
    """Makes the folder of root's that every account reaches, and refuses one that is not root's."""
    if not shelf.exists():
        shelf.mkdir(parents=True, exist_ok=True)
        shelf.chmod(0o711)
    found = shelf.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != 0 or found.st_mode & 0o022:
        raise EmbeddedPostgresError(f"{shelf} must be a folder that only root may write to")
    return shelf


def private_file(path: Path) -> IO[bytes]:
    """Opens a file for appending that belongs to its folder's owner, and never follows a link."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    file = os.fdopen(os.open(path, flags, 0o600), "ab")
    if os.geteuid() == 0:  # so that the owner of the folder can go on without root
        owner = path.parent.stat()
        os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
    return file


def _registered(key: int | str) -> OsUser | None:
    """The account of a uid or a name; initdb wants one that the system knows, and not root."""
    try:
        entry = pwd.getpwuid(key) if isinstance(key, int) else pwd.getpwnam(key)
    except KeyError:
        return None
    return OsUser(entry.pw_uid, entry.pw_gid) if entry.pw_uid != 0 else None
