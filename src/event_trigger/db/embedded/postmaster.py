"""Starts and stops a PostgreSQL server, waits until it is ready, and ends an orphaned one."""

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

_POLL_SECONDS, _FREE_WITHIN, _STOP_WITHIN = 0.02, 5.0, 15.0  # seconds
_STILL_HELD = re.compile(r'lock file ".*" already exists|shared memory block .*still in use')
_ABOUT_A_STATEMENT = re.compile(r"^\t| (ERROR|STATEMENT|DETAIL|HINT|CONTEXT|QUERY):  ")
_STAMP = re.compile(r"^[-\d]+ [:.\d]+ UTC \[\d+\] ")
_LAST_LINES, _LAST_BYTES = 15, 16 * 1024
_STATUS_LINE_INDEX = 7  # of postmaster.pid, counted from 0: LOCK_FILE_LINE_PM_STATUS in pidfile.h

_SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_locks_per_transaction": "256",  # a query over events may lock all of their partitions
    "jit": "off",
    "wal_init_zero": "off",  # 16 MiB of zeros for a new file hold up all commits for 60 to 300 ms
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_statement": "none",
    # keeps payloads and secrets out of the log, also those in "Failing row contains (…)"
    "log_error_verbosity": "terse",
    "log_parameter_max_length_on_error": "0",
}
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_NOT_DURABLE = dict.fromkeys(_DURABLE, "off")


@dataclass(frozen=True)
class ServerConfig:
    """The account, programs, folders and timeouts (seconds) of one server."""

    account: OsUser
    binaries: Binaries
    cluster: Path
    sockets: Path
    log: Path
    durable: bool
    ready_within: float = 60.0  # recovery after a crash may take a while
    stop_within: float = _STOP_WITHIN

    @property
    def command(self) -> list[str | Path]:
        settings = _SETTINGS | (_DURABLE if self.durable else _NOT_DURABLE)
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


def start(
    config: ServerConfig, *, is_cancelled: Callable[[], bool] = _never
) -> subprocess.Popen[bytes]:
    """Starts a server and waits until it is ready.

    1. End a server that was left behind by a killed service.
    2. Start the server; retry for 5 s while remains of a killed one still hold the cluster.
    3. Wait for `ready` in postmaster.pid.

    Raises EmbeddedPostgresError if it fails, or soon after `is_cancelled` returns True.
    """
    end_orphan(config)
    give_up = time.monotonic() + _FREE_WITHIN
    while True:
        with private_file(config.log) as log:
            written = log.seek(0, os.SEEK_END)
            before = _status(config.pid_file)
            server = config.account.spawn(config.command, log=log)
        if _became_ready(server, config, before, is_cancelled):
            return server
        lines = last_log_lines(config.log, since=written)
        if is_cancelled() or not _STILL_HELD.search(lines) or time.monotonic() > give_up:
            raise EmbeddedPostgresError(f"PostgreSQL is not ready; {config.log} says:\n{lines}")


def stop(server: subprocess.Popen[bytes], *, within: float = _STOP_WITHIN) -> None:
    """Requests a fast shutdown, after `within` seconds an immediate one, and then kills the server.

    Committed data is safe in each case.
    """
    for how in (signal.SIGINT, signal.SIGQUIT):
        server.send_signal(how)
        if _wait_for(lambda: server.poll() is not None, within=within):
            return
    server.kill()
    server.wait()


def _became_ready(
    server: subprocess.Popen[bytes],
    config: ServerConfig,
    before: tuple[int, str] | None,
    is_cancelled: Callable[[], bool],
) -> bool:
    """Waits until the server is ready; stops it and returns False if it ends or takes too long."""

    def is_ready() -> bool:
        return _is_marked_ready(config.pid_file, server.pid, before)

    def is_decided() -> bool:
        return server.poll() is not None or is_ready() or is_cancelled()

    ready = False
    try:
        _wait_for(is_decided, within=config.ready_within)
        ready = server.poll() is None and is_ready()
    finally:
        if not ready:
            stop(server, within=config.stop_within)
    return ready


def _is_marked_ready(pid_file: Path, pid: int, before: tuple[int, str] | None) -> bool:
    # in a container, pids repeat: a stale file may have the same pid, so it must also be newer
    now = _status(pid_file)
    if now is None or now == before:
        return False
    lines = now[1].splitlines()
    status = [line.strip() for line in lines[_STATUS_LINE_INDEX:]]
    return lines[:1] == [str(pid)] and status == ["ready"]


def _status(pid_file: Path) -> tuple[int, str] | None:
    """Returns the time (ns) and text of postmaster.pid's last change, or None without that file."""
    try:
        return pid_file.stat().st_mtime_ns, pid_file.read_text()
    except FileNotFoundError:
        return None


def end_orphan(config: ServerConfig) -> None:
    """Ends a server whose service was killed, and removes lock files that name another process.

    PostgreSQL refuses to start while a process with the pid in these files lives, even if that pid
    now belongs to another program or a zombie. Removing them is safe: we hold the data directory's
    lock, so no other server is starting, and PostgreSQL detects remaining backends of an old server
    by its shared memory.
    """
    if (status := _status(config.pid_file)) is not None:
        pid = int(named[0]) if (named := re.match(r"[1-9]\d*", status[1])) else None
        if pid is not None and _is_postmaster_of(config.cluster, pid):
            _end_process(pid, config)
        if pid is None or _is_alive(pid):
            config.pid_file.unlink(missing_ok=True)
    config.socket_lock.unlink(missing_ok=True)


def _end_process(pid: int, config: ServerConfig) -> None:
    for how in (signal.SIGINT, signal.SIGQUIT):
        with suppress(ProcessLookupError):
            os.kill(pid, how)
        if _wait_for(lambda: not _is_postmaster_of(config.cluster, pid), within=config.stop_within):
            return
    raise EmbeddedPostgresError(
        f"process {pid} is a PostgreSQL left behind on {config.cluster}, and does not stop; end it"
    )


def _is_alive(pid: int) -> bool:
    with suppress(PermissionError):  # it is alive, and belongs to another user
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return True


def _is_postmaster_of(cluster: Path, pid: int) -> bool:
    """Tells whether a living process has the arguments of a server on this cluster."""
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
        time.sleep(_POLL_SECONDS)
    return met


def last_log_lines(log: Path, *, since: int) -> str:
    """Returns the last log lines after the byte offset `since` that are about the server itself.

    Lines about statements are left out, because they may contain values of users. A line that
    several processes logged appears once.
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
