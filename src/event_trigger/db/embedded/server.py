"""A PostgreSQL of our own lets the service run on a machine that has none."""

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
    known_home,
    make_data_dir,
    new_home,
    prepare_cluster,
)
from event_trigger.db.embedded.os_user import (
    EmbeddedPostgresError,
    OsUser,
    make_shelf,
    os_user_for,
    private_file,
)
from event_trigger.db.embedded.postmaster import PORT, Launch, start, stop
from event_trigger.db.embedded.supervisor import RESTART_AFTER, supervised

__all__ = [
    "EmbeddedPostgresError",
    "find_binaries",
    "make_data_dir",
    "running_postgres",
    "supervised_postgres",
    "url_if_running",
]

_SOCKET_PATH_LIMIT = 103  # bytes: macOS's sun_path; Linux has 107
_LOG_LIMIT = 10 * 1024 * 1024


@contextmanager
def running_postgres(data_dir: Path, *, durable: bool = True) -> Iterator[str]:
    """Runs PostgreSQL for as long as the body does, and yields its URL for SQLAlchemy and asyncpg.

    One that ends is not started again: see `supervised_postgres`.

    The data is in `<data_dir>/cluster`. If the service is root's, PostgreSQL runs as another
    account; if that cannot reach the data directory, the data is in a folder under
    /var/lib/event-trigger-postgres, and a file in the data directory says in which.
    `durable=False` is for tests: a power failure may lose everything.
    To be called from the main thread: Linux ends the server when the thread that forked it ends.
    Raises EmbeddedPostgresError, in words that a person can act on.
    """
    _want_main_thread()
    with ExitStack() as locks:
        launch = _prepared(data_dir, locks, durable=durable)
        server = start(launch)
        try:
            yield _url(launch.sockets)
        finally:
            stop(server)


@contextmanager
def supervised_postgres(
    data_dir: Path,
    *,
    gave_up: Callable[[], None],
    restart_after: Sequence[float] = RESTART_AFTER,
) -> Iterator[str]:
    """Does as `running_postgres`, and starts the server again when it ends.

    The data directory stays locked, and the URL the same. When all tries have failed it calls
    `gave_up`, from another thread, and raises EmbeddedPostgresError once the body has ended.
    """
    _want_main_thread()
    with ExitStack() as locks:
        launch = _prepared(data_dir, locks, durable=True)
        with supervised(launch, gave_up=gave_up, restart_after=restart_after):
            yield _url(launch.sockets)


def url_if_running(data_dir: Path) -> str | None:
    """The URL of the PostgreSQL that another process runs for this data directory, if one does."""
    if not data_dir.is_dir():
        return None
    data_dir = data_dir.resolve()
    try:
        with _locked(data_dir):
            return None
    except EmbeddedPostgresError:
        home = known_home(data_dir) or data_dir
        account = os_user_for(home / "cluster", data_dir)
        return _url(_socket_folder(home, account))


def _want_main_thread() -> None:
    if threading.current_thread() is not threading.main_thread():
        raise EmbeddedPostgresError("the embedded PostgreSQL must be started from the main thread")


def _prepared(data_dir: Path, locks: ExitStack, *, durable: bool) -> Launch:
    """Takes the locks and makes what is missing; an OSError here is about a person's folders."""
    try:
        data_dir = make_data_dir(data_dir)
        locks.enter_context(_locked(data_dir))
        home = known_home(data_dir)
        account = os_user_for((home or data_dir) / "cluster", data_dir)
        binaries = binaries_for(account)
        home = home or new_home(data_dir, account)
        if home != data_dir:  # a copy of the data directory says the same home
            locks.enter_context(_locked(home))
        cluster = prepare_cluster(home, account, binaries, durable=durable)
        sockets = account.make_private(_socket_folder(home, account))
        log = _rotated(data_dir / "postgres.log")
    except OSError as error:
        raise EmbeddedPostgresError(
            f"the embedded PostgreSQL cannot use {data_dir}: {error}; "
            "set EVENT_TRIGGER_DATA_DIR to a folder of your own, or set DATABASE_URL"
        ) from error
    return Launch(account, binaries, cluster, sockets, log, durable)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Holds a lock that ends with this process; the server does not inherit it."""
    with private_file(folder / "lock") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise EmbeddedPostgresError(
                f"another event-trigger process uses {folder}; stop it, "
                "or set EVENT_TRIGGER_DATA_DIR or DATABASE_URL"
            ) from None
        yield


def _socket_folder(home: Path, account: OsUser) -> Path:
    """A folder whose path fits into a socket's address, and needs no quoting anywhere."""
    name = f"event-trigger-{hashlib.sha256(f'{account.uid} {home}'.encode()).hexdigest()[:16]}"
    for folder in (home / "run", Path(tempfile.gettempdir(), name)):
        if _suits_a_socket(folder) and account.reaches(folder.parent):
            return folder
    return (make_shelf() if os.geteuid() == 0 else Path("/tmp")) / name  # noqa: S108 - verified


def _suits_a_socket(folder: Path) -> bool:
    path = f"{folder}/.s.PGSQL.{PORT}"
    return len(path) <= _SOCKET_PATH_LIMIT and re.fullmatch(r"[A-Za-z0-9/._-]+", path) is not None


def _rotated(log: Path) -> Path:
    if log.exists() and log.stat().st_size > _LOG_LIMIT:
        log.replace(log.with_name(f"{log.name}.1"))
    return log


def _url(sockets: Path) -> str:
    # the port is said because asyncpg would otherwise take PGPORT's
    return f"postgresql+asyncpg://postgres@/{DATABASE}?host={quote(str(sockets))}&port={PORT}"
