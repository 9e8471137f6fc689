"""A PostgreSQL server must not outlive its service, nor be taken for ready before it is."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from event_trigger.db.embedded.binaries import Binaries
from event_trigger.db.embedded.os_user import EmbeddedPostgresError, OsUser, private_file

PORT = 5432  # only part of the socket's name

_POLL, _FREE_WITHIN, _STOP_WITHIN = 0.02, 5.0, 15.0  # seconds
_STILL_HELD = re.compile(r'lock file ".*" already exists|shared memory block .*still in use')
_ABOUT_A_STATEMENT = re.compile(r"^\t| (ERROR|STATEMENT|DETAIL|HINT|CONTEXT|QUERY):  ")
_STAMP = re.compile(r"^[-\d]+ [:.\d]+ UTC \[\d+\] ")
_LAST_LINES, _LAST_BYTES = 15, 16 * 1024
_STATUS_LINE = 7  # of postmaster.pid, counted from 0: LOCK_FILE_LINE_PM_STATUS in pidfile.h

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_locks_per_transaction": "256",  # a query over events may lock all of their partitions
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_statement": "none",
    # payloads and secrets stay out of the log, also those in "Failing row contains (…)"
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_HASTY = dict.fromkeys(_DURABLE, "off")


@dataclass(frozen=True)
class Launch:
    """Everything that a server needs to start."""

    account: OsUser
    binaries: Binaries
    cluster: Path
    sockets: Path
    log: Path
    durable: bool
    ready_within: float = 60.0  # seconds: recovery after a crash may take a while
    stop_within: float = _STOP_WITHIN

    @property
    def command(self) -> list[str | Path]:
        settings = _SETTINGS | (_DURABLE if self.durable else _HASTY)
        settings["unix_socket_directories"] = str(self.sockets)
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [self.binaries.folder / "postgres", "-D", self.cluster, *options]

    @property
    def pid_file(self) -> Path:
        return self.cluster / "postmaster.pid"

    @property
    def socket_lock(self) -> Path:
        return self.sockets / f".s.PGSQL.{PORT}.lock"


def _never() -> bool:
    return False


def start(launch: Launch, *, called_off: Callable[[], bool] = _never) -> subprocess.Popen[bytes]:
    """Starts a server that is ready, again if remains of a killed one still hold the cluster.

    Raises EmbeddedPostgresError if there will be none, and soon after it is `called_off`.
    """
    _end_left_behind(launch)
    give_up = time.monotonic() + _FREE_WITHIN
    while True:
        with private_file(launch.log) as log:
            written = log.seek(0, os.SEEK_END)
            before = _status(launch.pid_file)
            server = launch.account.spawn(launch.command, log=log)
        if _became_ready(server, launch, before, called_off):
            return server
        said = last_words(launch.log, since=written)
        if called_off() or not _STILL_HELD.search(said) or time.monotonic() > give_up:
            raise EmbeddedPostgresError(f"PostgreSQL is not ready; {launch.log} says:\n{said}")


def stop(server: subprocess.Popen[bytes], *, within: float = _STOP_WITHIN) -> None:
    """Shuts down fast, or else after so many seconds at once; what was committed is safe."""
    for how in (signal.SIGINT, signal.SIGQUIT):
        server.send_signal(how)
        if _wait_for(lambda: server.poll() is not None, within=within):
            return
    server.kill()
    server.wait()


def _became_ready(
    server: subprocess.Popen[bytes],
    launch: Launch,
    before: tuple[int, str] | None,
    called_off: Callable[[], bool],
) -> bool:
    """Waits until the server is ready; one that ends, or takes too long, is stopped."""

    def is_ready() -> bool:
        return _says_ready(launch.pid_file, server.pid, before)

    def is_settled() -> bool:
        return server.poll() is not None or is_ready() or called_off()

    ready = False
    try:
        _wait_for(is_settled, within=launch.ready_within)
        ready = server.poll() is None and is_ready()
    finally:
        if not ready:
            stop(server, within=launch.stop_within)
    return ready


def _says_ready(pid_file: Path, pid: int, before: tuple[int, str] | None) -> bool:
    # in a container a stale file may well name our pid: it must also have been written since
    now = _status(pid_file)
    if now is None or now == before:
        return False
    lines = now[1].splitlines()
    return lines[:1] == [str(pid)] and [line.strip() for line in lines[_STATUS_LINE:]] == ["ready"]


def _status(pid_file: Path) -> tuple[int, str] | None:
    """When a postmaster wrote its file last, and what, if there is one."""
    try:
        return pid_file.stat().st_mtime_ns, pid_file.read_text()
    except FileNotFoundError:
        return None


def _end_left_behind(launch: Launch) -> None:
    """Ends a server whose service was killed, and removes what names a process that is none.

    PostgreSQL refuses to start for as long as a pid in these files lives, whoever that has become
    and though it be a zombie. We hold the data directory's lock, so no other server is starting,
    and if there are remains of one, then its shared memory tells PostgreSQL.
    """
    if (status := _status(launch.pid_file)) is not None:
        pid = int(named[0]) if (named := re.match(r"[1-9]\d*", status[1])) else None
        if pid is not None and _is_postmaster_of(launch.cluster, pid):
            _end(pid, launch)
        if pid is None or _is_alive(pid):
            launch.pid_file.unlink(missing_ok=True)
    launch.socket_lock.unlink(missing_ok=True)


def _end(pid: int, launch: Launch) -> None:
    for how in (signal.SIGINT, signal.SIGQUIT):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        if _wait_for(lambda: not _is_postmaster_of(launch.cluster, pid), within=launch.stop_within):
            return
    raise EmbeddedPostgresError(
        f"process {pid} is a PostgreSQL left behind on {launch.cluster}, and does not stop; end it"
    )


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):  # alive, and somebody else's
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


def _is_postmaster_of(cluster: Path, pid: int) -> bool:
    """Whether a living process has the arguments that we start a server with."""
    return f" -D {cluster} " in _arguments(pid)


if sys.platform == "linux":

    def _arguments(pid: int) -> str:
        try:
            words = Path("/proc", str(pid), "cmdline").read_bytes()
        except OSError:
            return ""
        return os.fsdecode(words).replace("\0", " ")

else:  # pragma: no cover - Linux has /proc, and may not have ps

    def _arguments(pid: int) -> str:
        listing = ["/bin/ps", "-ww", "-o", "args=", "-p", str(pid)]
        return subprocess.run(listing, capture_output=True, text=True, check=False).stdout  # noqa: S603


def _wait_for(condition: Callable[[], bool], *, within: float) -> bool:
    give_up = time.monotonic() + within
    while not (met := condition()) and time.monotonic() < give_up:
        time.sleep(_POLL)
    return met


def last_words(log: Path, *, since: int) -> str:
    """The last lines that a server wrote about itself, from that place of its log on.

    Lines about a statement are left out: they say nothing of why a server ended, and may hold
    values that somebody sent. What many of its processes say is there once.
    """
    with log.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        file.seek(max(since, end - _LAST_BYTES))
        lines = file.read().decode(errors="replace").splitlines()
    first_with: dict[str, str] = {}
    for line in lines:
        if not _ABOUT_A_STATEMENT.search(line):
            first_with.setdefault(_STAMP.sub("", line), line)
    return "\n".join([*first_with.values()][-_LAST_LINES:])
