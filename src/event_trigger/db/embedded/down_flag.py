"""Tells every process of the service, without a query, that the embedded server is down.

The process that runs the server holds a file lock while the server is down. A lock needs no disk
space, and ends with the process that holds it.
"""

import fcntl
import time
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from event_trigger.db.embedded.os_user import EmbeddedPostgresError, private_file

_FILE_NAME = "away"
_TRIES, _PAUSE = 50, 0.01  # to take the lock, which readers hold for microseconds
_POLL_SECONDS = 0.1  # seconds
SERVER_IS_DOWN = "the embedded PostgreSQL has ended and is being restarted"


class DownFlag:
    """Sets and clears the flag; for the process that runs the server."""

    def __init__(self, sockets: Path) -> None:
        self._file = private_file(sockets / _FILE_NAME)

    def begin(self) -> None:
        for _ in range(_TRIES):
            try:
                return fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # a reader holds it, and may even be frozen
                time.sleep(_PAUSE)
        return None

    def end(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        self._file.close()


class DownFlagReader:
    """Tells any process whether the embedded server is down."""

    def __init__(self, sockets: Path) -> None:
        self._sockets = sockets

    def reason(self) -> str | None:
        """Returns the text for `/healthz` if the server is down, else None; takes microseconds."""
        return SERVER_IS_DOWN if self._is_down() else None

    def wait(self, *, within: float) -> None:
        """Waits until the server is up; raises EmbeddedPostgresError after `within` seconds."""
        give_up = time.monotonic() + within
        while self._is_down():
            if time.monotonic() > give_up:
                raise EmbeddedPostgresError(
                    f"{SERVER_IS_DOWN}; see the service's log, or try again later"
                )
            time.sleep(_POLL_SECONDS)

    def _is_down(self) -> bool:
        try:
            with (self._sockets / _FILE_NAME).open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return not self._sockets.is_dir()
        return False


def down_flag_of(database_url: str) -> DownFlagReader | None:
    """Returns the flag of the embedded server with this URL, or None if it is another server's."""
    match parse_qs(urlsplit(database_url).query).get("host"):  # SQLAlchemy's reads one host only
        case [sockets] if Path(sockets, _FILE_NAME).is_file():
            return DownFlagReader(Path(sockets))
    return None
