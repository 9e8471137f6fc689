"""Runs the service's own PostgreSQL, so that the service needs no other on its machine."""

import fcntl
import hashlib
import os
import re
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from event_trigger.db.embedded.binaries import binaries_for, find_binaries
from event_trigger.db.embedded.data_directory import (
    DATABASE,
    choose_home,
    find_home,
    make_data_dir,
    prepare_cluster,
)
from event_trigger.db.embedded.os_user import (
    EmbeddedPostgresError,
    OsUser,
    make_root_folder,
    os_user_for,
    private_file,
)
from event_trigger.db.embedded.postmaster import PORT, ServerConfig, start, stop
from event_trigger.db.embedded.supervisor import RESTART_AFTER_SECONDS, supervised

__all__ = [
    "EmbeddedPostgresError",
    "find_binaries",
    "has_data",
    "make_data_dir",
    "running_postgres",
    "supervised_postgres",
    "url_if_running",
]

_SOCKET_PATH_LIMIT = 103  # bytes: macOS's sun_path; Linux has 107
_LOG_LIMIT_BYTES = 10 * 1024 * 1024


@contextmanager
def running_postgres(data_dir: Path, *, durable: bool = True) -> Iterator[str]:
    """Runs PostgreSQL until the body ends, and yields its URL for SQLAlchemy and asyncpg.

    A server that ends by itself is not started again: see `supervised_postgres`.

    The data is in `<data_dir>/cluster`. If root runs the service, PostgreSQL runs as another
    account. If that account cannot reach the data directory, the data is in a folder under
    /var/lib/event-trigger-postgres, whose path is in a file in the data directory.
    `durable=False` is for tests: a power failure may lose everything.
    Call it from the main thread: Linux ends the server when the thread that forked it ends.
    Raises EmbeddedPostgresError, whose message tells the operator what to do.
    """
    _require_main_thread()
    with ExitStack() as locks:
        config = _prepare(data_dir, locks, durable=durable)
        server = start(config)
        try:
            yield url_of(config.sockets)
        finally:
            stop(server)


@contextmanager
def supervised_postgres(
    data_dir: Path,
    *,
    on_give_up: Callable[[], None],
    restart_after: Sequence[float] = RESTART_AFTER_SECONDS,
) -> Iterator[str]:
    """Does as `running_postgres`, and starts the server again when it ends.

    The data directory stays locked, and the URL the same. When all tries have failed, it calls
    `on_give_up` from another thread, and raises EmbeddedPostgresError after the body has ended.
    """
    _require_main_thread()
    with ExitStack() as locks:
        config = _prepare(data_dir, locks, durable=True)
        with supervised(config, on_give_up=on_give_up, restart_after=restart_after):
            yield url_of(config.sockets)


def url_if_running(data_dir: Path) -> str | None:
    """Returns the URL of another process's PostgreSQL on this data directory, or None."""
    if not data_dir.is_dir():
        return None
    data_dir = data_dir.resolve()
    try:
        with locked(data_dir):
            return None
    except EmbeddedPostgresError:
        home = find_home(data_dir) or data_dir
        account = os_user_for(home / "cluster", data_dir)
        return url_of(socket_folder(home, account))


def has_data(data_dir: Path) -> bool:
    """Tells whether a data directory has a cluster; makes nothing."""
    return data_dir.is_dir() and find_home(data_dir.resolve()) is not None


def _require_main_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise EmbeddedPostgresError("the embedded PostgreSQL must be started from the main thread")


def _prepare(data_dir: Path, locks: ExitStack, *, durable: bool) -> ServerConfig:
    """Takes the locks, and makes the cluster and the socket's folder if they are missing.

    An OSError here is about folders that the operator chose, so its message names the setting.
    """
    try:
        data_dir = make_data_dir(data_dir)
        locks.enter_context(locked(data_dir))
        home = find_home(data_dir)
        account = os_user_for((home or data_dir) / "cluster", data_dir)
        binaries = binaries_for(account)
        home = home or choose_home(data_dir, account)
        if home != data_dir:  # a copied data directory points to the same folder
            locks.enter_context(locked(home))
        cluster = prepare_cluster(home, account, binaries, durable=durable)
        sockets = account.make_private(socket_folder(home, account))
        log = rotated(data_dir / "postgres.log")
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the embedded PostgreSQL cannot use {data_dir}: {error}; "
            "set EVENT_TRIGGER_DATA_DIR to a folder of your own, or set DATABASE_URL"
        ) from error
    return ServerConfig(account, binaries, cluster, sockets, log, durable)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Holds a file lock that ends with this process; the server does not inherit it."""
    with private_file(folder / "lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedPostgresError(
                f"another event-trigger process uses {folder}; stop it, "
                "or set EVENT_TRIGGER_DATA_DIR or DATABASE_URL"
            ) from None
        yield


def socket_folder(home: Path, account: OsUser) -> Path:
    """Chooses a folder whose path is short enough for a socket address and needs no quoting."""
    name = f"event-trigger-{hashlib.sha256(f'{account.uid} {home}'.encode()).hexdigest()[:16]}"
    for folder in (home / "run", Path(tempfile.gettempdir(), name)):
        if _suits_a_socket(folder) and account.reaches(folder.parent):
            return folder
    return (make_root_folder() if os.geteuid() == 0 else Path("/tmp")) / name  # noqa: S108 - verified


def _suits_a_socket(folder: Path) -> bool:
    path = f"{folder}/.s.PGSQL.{PORT}"
    return len(path) <= _SOCKET_PATH_LIMIT and re.fullmatch(r"[A-Za-z0-9/._-]+", path) is not None


def rotated(log: Path) -> Path:
    """Sets a large log aside, and returns the path of the log to write to."""
    if log.exists() and log.stat().st_size > _LOG_LIMIT_BYTES:
        log.replace(log.with_name(f"{log.name}.1"))
    return log


def url_of(sockets: Path) -> str:
    """Returns the URL, for SQLAlchemy and asyncpg, of a server with this folder of its socket."""
    # without the port, asyncpg would take it from PGPORT
    return f"postgresql+asyncpg://postgres@/{DATABASE}?host={quote(str(sockets))}&port={PORT}"
